import { connect, createServer, type Server, type Socket } from "node:net";

/** What waits on the way in one direction at most; then the sender is made to wait. */
const QUEUED_BYTES_MAX = 256 * 1024;

/** How a line is: changed while connections run over it. */
interface Weather {
  delayMs: number;
  bytesPerSecond: number;
}

/**
 * A TCP proxy on 127.0.0.1 with the faults of a network: connections that are cut, that go silent for ever while nothing
 * fails (half-open), that are slow, or late.
 */
export class TcpProxy {
  readonly port: number;
  readonly #server: Server;
  readonly #lines = new Set<Line>();
  readonly #weather: Weather = { delayMs: 0, bytesPerSecond: Infinity };
  #isSilent = false;
  #isRefusing = false;
  #targetPort: number;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.#targetPort = targetPort;
    const address = server.address();
    if (!address || typeof address !== "object") throw new Error("the proxy has no port");
    this.port = address.port;
    server.on("connection", (socket) => this.#accept(socket));
  }

  static open(targetPort: number): Promise<TcpProxy> {
    const server = createServer({ noDelay: true });
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", () => resolve(new TcpProxy(server, targetPort)));
    });
  }

  /** How many connections run over it, silent ones included. */
  get connections(): number {
    return this.#lines.size;
  }

  /** Both ends of every connection get a reset. @returns how many there were */
  cut(): number {
    const lines = [...this.#lines];
    for (const line of lines) line.cut();
    return lines.length;
  }

  /**
   * From now on nothing arrives and nothing fails. Connections that exist stay like that for ever, as behind a firewall that
   * has forgotten them: neither end hears of the other's end. New ones are accepted and silent too, until heal().
   */
  silence(): void {
    this.#isSilent = true;
    for (const line of this.#lines) line.silence();
  }

  /** Every new connection is reset at once, until heal(). */
  refuse(): void {
    this.#isRefusing = true;
  }

  /** What is sent from now on arrives so much later. */
  delay(delayMs: number): void {
    this.#weather.delayMs = delayMs;
  }

  /** All that is sent from now on passes at this speed, in each direction of each connection. */
  limit(bytesPerSecond: number): void {
    this.#weather.bytesPerSecond = bytesPerSecond;
  }

  /** New connections pass as they should, existing ones without delay; silent ones stay silent. */
  heal(): void {
    this.#isSilent = false;
    this.#isRefusing = false;
    Object.assign(this.#weather, { delayMs: 0, bytesPerSecond: Infinity });
  }

  /** From now on leads new connections to another port. */
  leadTo(targetPort: number): void {
    this.#targetPort = targetPort;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.cut();
    await closed;
  }

  #accept(near: Socket): void {
    near.on("error", () => undefined);
    if (this.#isRefusing) return void near.resetAndDestroy();
    const far = connect({ host: "127.0.0.1", port: this.#targetPort, noDelay: true });
    const line = new Line(near, far, this.#weather, () => this.#lines.delete(line));
    this.#lines.add(line);
    if (this.#isSilent) line.silence();
  }
}

/** One connection through the proxy. */
class Line {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #onGone: () => void;
  #isSilent = false;

  constructor(near: Socket, far: Socket, weather: Weather, onGone: () => void) {
    this.#near = near;
    this.#far = far;
    this.#onGone = onGone;
    const isSilent = (): boolean => this.#isSilent;
    pass(near, far, weather, isSilent);
    pass(far, near, weather, isSilent);
    for (const socket of [near, far]) {
      socket.on("error", () => this.#fail());
      socket.on("close", () => this.#closed());
    }
  }

  silence(): void {
    this.#isSilent = true;
    this.#near.pause();
    this.#far.pause();
  }

  cut(): void {
    this.#isSilent = false;
    this.#near.resetAndDestroy();
    this.#far.resetAndDestroy();
    this.#onGone();
  }

  #fail(): void {
    if (!this.#isSilent) this.cut();
  }

  /** A silent line keeps its other end until the proxy cuts it or closes. */
  #closed(): void {
    if (this.#near.destroyed && this.#far.destroyed) this.#onGone();
    else if (!this.#isSilent && (this.#near.errored || this.#far.errored)) this.cut();
  }
}

/** Something that is on its way, and when it arrives. */
interface UnderWay {
  readonly dueMs: number;
  readonly arrive: () => void;
}

/** Passes what `from` sends on to `to`, in its order, as late and as slowly as the weather wants. */
function pass(from: Socket, to: Socket, weather: Weather, isSilent: () => boolean): void {
  const underWay: UnderWay[] = [];
  let queuedBytes = 0;
  let lastDueMs = 0;
  let timer: NodeJS.Timeout | undefined;
  const deliver = (): void => {
    timer = undefined;
    for (let next = underWay[0]; next; next = underWay[0]) {
      const waitMs = next.dueMs - Date.now();
      if (waitMs > 0) return void (timer = setTimeout(deliver, waitMs).unref());
      underWay.shift();
      next.arrive();
    }
  };
  const send = (arrive: () => void, bytes: number): void => {
    lastDueMs = Math.max(Date.now() + weather.delayMs, lastDueMs) + (bytes / weather.bytesPerSecond) * 1000;
    underWay.push({ dueMs: lastDueMs, arrive });
    if (timer === undefined) deliver();
  };
  const resume = (): void => {
    if (queuedBytes < QUEUED_BYTES_MAX && to.writableLength < QUEUED_BYTES_MAX && !isSilent()) from.resume();
  };
  from.on("data", (chunk: Buffer) => {
    queuedBytes += chunk.length;
    send(() => {
      queuedBytes -= chunk.length;
      if (isSilent() || to.destroyed) return;
      to.write(chunk);
      resume();
    }, chunk.length);
    if (queuedBytes >= QUEUED_BYTES_MAX || to.writableLength >= QUEUED_BYTES_MAX) from.pause();
  });
  to.on("drain", resume);
  from.on("end", () => send(() => void (isSilent() || to.end()), 0));
}
