import { type Lsn } from "../../contracts/lsn.ts";
import { readTimeMs } from "./pgoutput.ts";

/** The message of a frame begins behind so many bytes. */
export const FRAME_HEADER_BYTES = 25;

/** A message of the replication protocol, or what looks like one, where it lies among the bytes that arrived. The bytes stay good. */
export interface Frame {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Where the frame itself does not say it. */
  readonly sentAtMs?: number;
}

/** The position of a frame's data. */
export const frameLsn = ({ bytes, start }: Frame): Lsn => bytes.readBigUInt64BE(start + 1) as Lsn;

/** When the source sent the frame, by its own clock, in milliseconds since 1970. */
export const frameSentAtMs = ({ bytes, start, sentAtMs }: Frame): number => sentAtMs ?? readTimeMs(bytes, start + 17);

/** Where the changes of the source come from. */
export interface ChangeSource {
  /** Rejects when it ends in any way but close(), or with the signal's reason. */
  failed(signal: AbortSignal): Promise<never>;
  /** Everything before this position is durable on the target; the source may forget it. */
  confirm(durableLsn: Lsn): void;
  /** The target has enough to do: let the source wait. */
  pause(): void;
  resume(): void;
  /** Whether what arrives was committed a while ago. */
  setBehind(isBehind: boolean): void;
  close(): Promise<void>;
}
