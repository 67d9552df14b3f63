import { EventEmitter } from "node:events";
import { type Lsn } from "../../contracts/lsn.ts";
import { reasonOf, whenAborted } from "../signals.ts";
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

/** What ended a source of changes: the first thing that did. */
export class SourceEnd {
  readonly #told = new EventEmitter();
  #reason: Error | undefined;

  get hasCome(): boolean {
    return this.#reason !== undefined;
  }

  /** @returns false when it had come before. */
  come(reason: Error): boolean {
    if (this.#reason) return false;
    this.#reason = reason;
    this.#told.emit("end", reason);
    return true;
  }

  /** Nobody is told any more. */
  forget(): void {
    this.#told.removeAllListeners();
  }

  /** Rejects with what ended it, or with the signal's reason. */
  async rejected(signal: AbortSignal): Promise<never> {
    if (this.#reason) throw this.#reason;
    return await new Promise<never>((_resolve, reject) => {
      const unhook = whenAborted(signal, () => reject(reasonOf(signal)));
      this.#told.once("end", (reason: Error) => {
        unhook();
        reject(reason);
      });
    });
  }
}
