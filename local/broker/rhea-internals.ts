import { type Socket } from "node:net";

/*
 * The parts of rhea 3.0.5 that the broker uses, as read in its source: its own declarations leave most of them out, or say `any`.
 */

export interface RheaDelivery {
  readonly id: number;
  readonly tag: Buffer | string;
  readonly remote_state?: {
    readonly error?: RheaError | null;
    readonly message_annotations?: object;
    readonly undeliverable_here?: boolean;
  };
  readonly state: object | undefined;
  remote_settled: boolean;
  settled: boolean;
  update(settled: boolean, state: object): void;
}

interface RheaError {
  readonly condition?: string;
  readonly description?: string;
  readonly info?: Readonly<Record<string, unknown>>;
}

export interface RheaLink {
  readonly name: string;
  readonly connection: RheaConnection;
  readonly session: RheaSession;
  readonly local: { readonly attach: Record<string, unknown> };
  readonly state: { local_open: boolean; open_requests: number };
  readonly source: { readonly address?: string; readonly filter?: Readonly<Record<string, unknown>> } | null;
  readonly target: { readonly address?: string } | null;
  readonly properties: Readonly<Record<string, unknown>> | undefined;
  readonly snd_settle_mode: number | undefined;
  readonly rcv_settle_mode: number | undefined;
  credit: number;
  delivery_count: number;
  issue_flow: boolean;
  _get_drain: () => boolean;
  set_source(fields: object): void;
  set_target(fields: object): void;
  open(): void;
  close(error?: { condition: string; description: string }): void;
  is_open(): boolean;
  send(bytes: Buffer, tag: Buffer | undefined, format: number): RheaDelivery;
  on(event: string, listener: (context: RheaContext) => void): void;
}

export interface RheaSession {
  readonly outgoing: { deliveries: UnsettledDeliveries; readonly pending_dispositions: readonly RheaDelivery[] };
  readonly incoming: { readonly updated: readonly RheaDelivery[]; on_transfer(frame: TransferFrame, link: RheaLink): void };
  readonly connection: RheaConnection;
  on(event: string, listener: (context: RheaContext) => void): void;
}

interface TransferFrame {
  readonly performative: { message_format: number | undefined };
}

export interface RheaConnection {
  readonly options: { readonly id: string };
  readonly socket: Socket;
  _process: () => void;
  _register: () => void;
  _disconnected: () => void;
  /** Without arguments: an empty frame, which keeps a connection alive. */
  _write_frame: (...frame: readonly unknown[]) => void;
}

export interface RheaContext {
  readonly connection: RheaConnection;
  readonly session: RheaSession;
  readonly sender?: RheaLink;
  readonly receiver?: RheaLink;
  readonly delivery: RheaDelivery;
  readonly message: Buffer;
  readonly format: number;
}

/** The unsettled deliveries of a session, by their ids. */
export interface UnsettledDeliveries {
  available(): number;
  push(delivery: RheaDelivery): void;
  by_id(id: number): RheaDelivery | undefined;
  pop_if(isFinished: (delivery: RheaDelivery) => boolean): void;
  /** Not rhea's: tells our replacement (`DeliveryTable`) where to look. */
  mayBeFinished(delivery: RheaDelivery): void;
}
