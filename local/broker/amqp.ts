import { type Server, type Socket } from "node:net";
import rhea, { type Container, type ServerConnectionOptions } from "rhea";
import { type Outcome } from "./consumer.ts";
import { DeliveryTable } from "./delivery-table.ts";
import { type BrokerError, asBrokerError } from "./errors.ts";
import { type RheaConnection, type RheaContext, type RheaDelivery, type RheaLink, type RheaSession } from "./rhea-internals.ts";

/*
 * The only file that touches rhea's internals (rhea 3.0.5, pinned; `rhea-internals.ts` declares them). rhea is made for
 * clients; as a server that must delay attaches, answer drains exactly and run for weeks it needs the corrections below,
 * each with its reason.
 */

const incomingCredit = 2000;
/** Unsettled deliveries of an AMQP session; the client's own limit is 2048. */
const sessionBufferSize = { incoming: 4096, outgoing: 4096 };
/** Marks transfers that rhea shall hand over as bytes instead of decoding them (and losing the AMQP types). */
const undecodedFormat = 0xffff_ffff;
/** Service Bus's own format: a transfer that holds several messages. */
const batchFormat = 0x8001_3700;

const outcomes = rhea.message as unknown as {
  accepted(): { described(): object };
  rejected(fields: { error: object }): { described(): object };
  are_outcomes_equivalent(a: object | undefined, b: object | undefined): boolean;
};
const accepted = (): object => outcomes.accepted().described();
const rejected = ({ condition, message }: BrokerError): object =>
  outcomes.rejected({ error: { condition, description: message } }).described();

/** One client connection. */
interface Peer {
  readonly id: string;
}

/** A link on which the client receives. */
export class OutgoingLink {
  readonly peer: Peer;
  readonly #link: RheaLink;
  /** Messages given to rhea so far, counted like rhea's delivery count, which lags until the frames are written. */
  #sentCount = 0;
  #drainRequested = false;
  #isHeld = false;
  onCredit: () => void = () => undefined;
  onOutcome: (tag: Buffer, outcome: Outcome, answer: (refusal?: BrokerError) => void) => void = () => undefined;
  onClosed: () => void = () => undefined;

  constructor(link: RheaLink, peer: Peer) {
    this.#link = link;
    this.peer = peer;
    // rhea would answer a drain only while credit is left; when the last message and the drain request cross, the client
    // would wait in vain and attach again. The answer goes out behind the transfers that are queued already.
    link._get_drain = () => this.#takeDrainAnswer();
    link.on("sender_flow", () => this.#offerCredit());
    link.on("sender_draining", () => this.#answerDrain());
    for (const event of ["accepted", "released", "modified", "rejected"]) link.on(event, ({ delivery }) => this.#settle(event, delivery));
    link.on("settled", ({ delivery }) => link.session.outgoing.deliveries.mayBeFinished(delivery));
  }

  get name(): string {
    return this.#link.name;
  }

  get address(): string {
    return this.#link.source?.address ?? "";
  }

  get replyAddress(): string | undefined {
    return this.#link.target?.address;
  }

  /** The wanted session: a name, null for any, undefined if the client receives without a session. */
  get sessionFilter(): string | null | undefined {
    const wanted = this.#link.source?.filter?.["com.microsoft:session-filter"];
    return wanted === undefined || wanted === null || typeof wanted === "string" ? wanted : undefined;
  }

  get properties(): Readonly<Record<string, unknown>> {
    return this.#link.properties ?? {};
  }

  /** The client wants transfers that need no settling (receive-and-delete). */
  get isPresettled(): boolean {
    return this.#link.snd_settle_mode === 1;
  }

  /** Holds back the answer to the attach; `accept` or `close` sends it. Only from within the attach handler. */
  hold(): void {
    this.#isHeld = true;
    this.#link.state.local_open = false;
    this.#link.state.open_requests -= 1;
  }

  /** Sends the answer to a held attach, without which neither transfers nor a detach may follow. */
  #unhold(): void {
    if (this.#isHeld) this.#link.open();
    this.#isHeld = false;
  }

  /** The client has closed the link: rhea answers that, if the attach was answered. */
  detached(): void {
    this.#unhold();
    this.onClosed();
  }

  accept({ filter, properties }: { filter?: object; properties?: object } = {}): void {
    const { attach } = this.#link.local;
    this.#link.set_source({ address: this.address, ...(filter && { filter }) });
    this.#link.set_target({ address: this.replyAddress });
    attach["snd_settle_mode"] = this.#link.snd_settle_mode;
    attach["rcv_settle_mode"] = this.#link.rcv_settle_mode;
    if (properties !== undefined) attach["properties"] = properties;
    this.#unhold();
  }

  /** Closes the link; if the attach is not answered yet, both answers go out. */
  close(reason: BrokerError): void {
    this.#unhold();
    this.#link.close({ condition: reason.condition, description: reason.message });
  }

  /** A client may send credit right behind its attach: rhea would write transfers before the answer to the attach. */
  #offerCredit(): void {
    if (this.#isAttachWritten()) this.onCredit();
    else setImmediate(() => this.onCredit());
  }

  #isAttachWritten(): boolean {
    return this.#link.is_open() && this.#link.state.open_requests === 0;
  }

  credit(): number {
    if (!this.#isAttachWritten()) return 0;
    const wanted = this.#link.delivery_count + this.#link.credit - this.#sentCount;
    return Math.min(wanted, this.#link.session.outgoing.deliveries.available());
  }

  send(bytes: Buffer, tag?: Buffer): void {
    this.#sentCount += 1;
    const delivery = this.#link.send(bytes, tag, 0);
    if (!this.isPresettled) return;
    delivery.settled = true;
    this.#link.session.outgoing.deliveries.mayBeFinished(delivery);
  }

  #settle(event: string, delivery: RheaDelivery): void {
    this.onOutcome(Buffer.from(delivery.tag), toOutcome(event, delivery), (refusal) => {
      const { outgoing } = this.#link.session;
      const answer = refusal === undefined ? accepted() : rejected(refusal);
      settle(
        delivery,
        answer,
        () => outgoing.pending_dispositions,
        () => {
          // With receiver settle mode "second" the client sends no further disposition, so rhea would wait for ever and the
          // link stop dead when its buffer is full.
          delivery.remote_settled = true;
          outgoing.deliveries.mayBeFinished(delivery);
        },
      );
    });
  }

  #answerDrain(): void {
    this.#drainRequested = true;
    this.#link.issue_flow = true;
    this.#link.connection._register();
  }

  #takeDrainAnswer(): boolean {
    const isQueueSent = this.#sentCount <= this.#link.delivery_count;
    if (!this.#drainRequested || !isQueueSent) return false;
    this.#drainRequested = false;
    this.#link.delivery_count += this.#link.credit;
    this.#link.credit = 0;
    this.#sentCount = this.#link.delivery_count;
    return true;
  }
}

function toOutcome(event: string, { remote_state: state }: RheaDelivery): Outcome {
  const properties = { ...state?.message_annotations };
  if (event === "accepted") return { kind: "complete" };
  if (event === "modified") return { kind: state?.undeliverable_here === true ? "defer" : "abandon", properties };
  if (event === "released") return { kind: "abandon" };
  const { DeadLetterReason: reason, DeadLetterErrorDescription: description, ...others } = state?.error?.info ?? {};
  return { kind: "dead-letter", reason: textOf(reason), description: textOf(description), properties: others };
}

const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** A message that a client sent. */
export interface IncomingTransfer {
  readonly bytes: Buffer;
  readonly isBatch: boolean;
  accept(): void;
  reject(reason: BrokerError): void;
}

/** A link on which the client sends. */
export class IncomingLink {
  readonly peer: Peer;
  readonly #link: RheaLink;
  onTransfer: (transfer: IncomingTransfer) => void = () => undefined;
  onClosed: () => void = () => undefined;

  constructor(link: RheaLink, peer: Peer) {
    this.#link = link;
    this.peer = peer;
    const pending = (): readonly RheaDelivery[] => link.session.incoming.updated;
    link.on("message", ({ message, format, delivery }) =>
      this.onTransfer({
        bytes: message,
        isBatch: format === batchFormat,
        accept: () => settle(delivery, accepted(), pending),
        reject: (reason) => settle(delivery, rejected(reason), pending),
      }),
    );
  }

  get address(): string {
    return this.#link.target?.address ?? "";
  }

  detached(): void {
    this.onClosed();
  }

  accept(messageSizeMaxBytes: number): void {
    this.#link.set_target({ address: this.address });
    this.#link.set_source({ address: this.#link.source?.address });
    this.#link.local.attach["max_message_size"] = messageSizeMaxBytes;
  }

  close(reason: BrokerError): void {
    this.#link.close({ condition: reason.condition, description: reason.message });
  }
}

export interface AmqpHandlers {
  /** Must accept, hold or close the link before it returns. */
  onOutgoingLink(link: OutgoingLink): void;
  onIncomingLink(link: IncomingLink): void;
  /** Called before anything is sent to a client. */
  beforeWrite(): void;
}

export interface AmqpServer {
  readonly port: number;
  /** Begins to answer; to be called in the same turn in which `listenAmqp` resolves. */
  serve(handlers: AmqpHandlers): void;
  /** Drops all connections and stops listening. */
  close(): Promise<void>;
}

/** Takes the port. @throws Error when it is taken by someone else */
export async function listenAmqp(address: { readonly host: string; readonly port: number }): Promise<AmqpServer> {
  const container = rhea.create_container({ id: "pgdms-local-broker" });
  const sockets = new Set<Socket>();
  // `autoaccept`: a message is accepted after it is stored. `treat_modified_as_released`: or every abandon came twice.
  const options = {
    ...address,
    autoaccept: false,
    treat_modified_as_released: false,
    credit_window: incomingCredit,
    session_buffer_size: sessionBufferSize,
    tcp_no_delay: true,
  };
  const server: Server = container.listen(options as ServerConnectionOptions);
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => server.once("listening", resolve).once("error", reject));
  const listening = server.address();
  return {
    port: typeof listening === "object" && listening !== null ? listening.port : address.port,
    serve: (handlers) => handleEvents(container, handlers),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** The links of one connection, to tell each exactly once that it is gone. */
type OpenLinks = Map<RheaLink, OutgoingLink | IncomingLink>;

function handleEvents(container: Container, handlers: AmqpHandlers): void {
  const connections = new WeakMap<RheaConnection, OpenLinks>();
  const on = (event: string, listener: (context: RheaContext) => void): unknown => container.on(event, listener);
  const linksOf = (connection: RheaConnection): OpenLinks => connections.get(connection) ?? new Map<RheaLink, never>();

  on("connection_open", ({ connection }) => {
    const links: OpenLinks = new Map<RheaLink, OutgoingLink | IncomingLink>();
    connections.set(connection, links);
    writeAfter(connection, () => handlers.beforeWrite());
    answerAtOnce(connection);
    // rhea listens to the socket's `end` only: after a reset its timers would go on and the links would never be dropped.
    connection.socket.once("close", () => {
      connection._disconnected();
      for (const link of [...links.keys()]) closeLink(links, link);
    });
  });
  on("session_open", ({ session }) => correctSession(session));
  on("session_close", ({ session, connection }) => {
    const links = linksOf(connection);
    for (const link of [...links.keys()]) if (link.session === session) closeLink(links, link);
  });
  on("sender_open", ({ sender, connection }) => {
    if (sender !== undefined)
      openLink(sender, linksOf(connection), new OutgoingLink(sender, { id: connection.options.id }), (link) =>
        handlers.onOutgoingLink(link),
      );
  });
  on("receiver_open", ({ receiver, connection }) => {
    if (receiver !== undefined)
      openLink(receiver, linksOf(connection), new IncomingLink(receiver, { id: connection.options.id }), (link) =>
        handlers.onIncomingLink(link),
      );
  });
  on("sender_close", ({ sender, connection }) => sender && closeLink(linksOf(connection), sender));
  on("receiver_close", ({ receiver, connection }) => receiver && closeLink(linksOf(connection), receiver));
  // A client that ends badly is the client's affair; without listeners rhea would print or throw.
  for (const event of [
    "disconnected",
    "connection_close",
    "connection_error",
    "session_error",
    "sender_error",
    "receiver_error",
    "protocol_error",
  ]) {
    container.on(event, () => undefined);
  }
  container.on("error", (error: unknown) => console.error(`broker: a connection was dropped: ${asBrokerError(error).message}`));
}

function openLink<T extends OutgoingLink | IncomingLink>(rheaLink: RheaLink, links: OpenLinks, link: T, open: (link: T) => void): void {
  links.set(rheaLink, link);
  try {
    open(link);
  } catch (error) {
    link.close(asBrokerError(error));
  }
}

function closeLink(links: OpenLinks, rheaLink: RheaLink): void {
  const link = links.get(rheaLink);
  if (links.delete(rheaLink)) link?.detached();
}

/**
 * The client leaves Nagle's algorithm on: its next small frame waits until the system has confirmed the one before, which the
 * system puts off by 40 ms in case there is data to send along. So where the broker has no answer it sends an empty frame.
 * Without this each new link costs the client 45 ms.
 */
function answerAtOnce(connection: RheaConnection): void {
  const { socket } = connection;
  socket.on("data", () => {
    const { bytesWritten } = socket;
    setImmediate(() => {
      if (socket.bytesWritten === bytesWritten && socket.writable) connection._write_frame();
    });
  });
}

/** Before each frame, not before rhea's turn as a whole: rhea reports settlements and writes the answers to them in one turn. */
function writeAfter(connection: RheaConnection, before: () => void): void {
  const writeFrame = connection._write_frame.bind(connection);
  connection._write_frame = (...frame) => {
    before();
    writeFrame(...frame);
  };
}

/**
 * Settles a delivery, apart from one before it with another outcome. rhea joins the first two dispositions of a turn if their
 * ids follow each other and does not compare their outcomes, so the second would be told the outcome of the first.
 */
function settle(delivery: RheaDelivery, outcome: object, pending: () => readonly RheaDelivery[], done?: () => void): void {
  const [first, ...others] = pending();
  const isJoined = first !== undefined && others.length === 0 && delivery.id === first.id + 1;
  if (isJoined && !outcomes.are_outcomes_equivalent(first.state, outcome)) {
    process.nextTick(() => settle(delivery, outcome, pending, done));
    return;
  }
  delivery.update(true, outcome);
  done?.();
}

function correctSession(session: RheaSession): void {
  session.outgoing.deliveries = new DeliveryTable(sessionBufferSize.outgoing);
  const onTransfer = session.incoming.on_transfer.bind(session.incoming);
  session.incoming.on_transfer = (frame, link) => {
    const { performative } = frame;
    if (performative.message_format === 0) performative.message_format = undecodedFormat;
    onTransfer(frame, link);
  };
}
