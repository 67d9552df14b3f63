import { connect, createServer, type Socket } from "node:net";
import { readList, type Typed } from "../../local/broker/codec.ts";
import { type Counting, type Counts, startCounting } from "./counts.ts";

/** Performatives of AMQP 1.0 (part 2, "transport"), by the number of their descriptor. */
const ATTACH = 0x12;
const TRANSFER = 0x14;

/** Every AMQP conversation begins with a header of eight bytes. */
const PROTOCOL_HEADER = Buffer.from("AMQP");
const HEADER_BYTES = 8;
/** An "unsigned long" of one byte, as a performative's descriptor is. */
const SMALL_ULONG = 0x53;

/**
 * Passes AMQP on to a broker and counts what one part says and hears, as `<part> sent <queue>`, `<part> sent bytes <queue>`,
 * `<part> received <queue>`, `<part> attached <queue>`, `<part> asked management` (of an entity: locks renewed, states of
 * sessions) and `<part> asked cbs` (the right to a link).
 */
export function countBus(targetPort: number, part: string, counts: Counts): Promise<Counting> {
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (client) => {
    const broker = connect({ host: "127.0.0.1", port: targetPort, noDelay: true });
    join(client, broker, new Ear(part, "out", counts));
    join(broker, client, new Ear(part, "in", counts));
    for (const socket of [client, broker]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
    }
  });
  return startCounting(server, () => {
    for (const socket of open) socket.destroy();
  });
}

function join(from: Socket, to: Socket, ear: Ear): void {
  from.on("data", (bytes: Buffer) => ear.hear(bytes));
  from.pipe(to);
  from.on("error", () => to.destroy());
  from.on("close", () => to.destroy());
}

/** Hears one direction of one connection. */
class Ear {
  readonly #part: string;
  readonly #direction: "out" | "in";
  readonly #counts: Counts;
  /** What a link is about, by channel and handle; each side has its own numbers. */
  readonly #links = new Map<string, string>();
  #rest: Buffer = Buffer.alloc(0);

  constructor(part: string, direction: "out" | "in", counts: Counts) {
    this.#part = part;
    this.#direction = direction;
    this.#counts = counts;
  }

  hear(bytes: Buffer): void {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    while (rest.length >= HEADER_BYTES) {
      const isHeader = rest.subarray(0, 4).equals(PROTOCOL_HEADER);
      const size = isHeader ? HEADER_BYTES : rest.readUInt32BE(0);
      if (rest.length < size) break;
      if (!isHeader) this.#frame(rest.subarray(0, size));
      rest = rest.subarray(size);
    }
    this.#rest = rest;
  }

  #frame(frame: Buffer): void {
    const body = frame.subarray(frame.readUInt8(4) * 4);
    const isAmqp = frame.readUInt8(5) === 0;
    if (!isAmqp || body.length < 3 || body.readUInt8(1) !== SMALL_ULONG) return;
    const performative = body.readUInt8(2);
    const channel = frame.readUInt16BE(6);
    if (performative === ATTACH) this.#attach(channel, readList(body));
    else if (performative === TRANSFER) this.#transfer(channel, readList(body), frame.length);
  }

  #attach(channel: number, fields: readonly Typed[]): void {
    const isReceiver = fields[2]?.value === true;
    const end = fields[isReceiver === (this.#direction === "out") ? 5 : 6]?.value as Typed[] | null | undefined;
    const named = end?.[0]?.value;
    const address = typeof named === "string" ? named : "";
    this.#links.set(`${channel}/${String(fields[1]?.value)}`, address);
    if (this.#direction === "out" && isReceiver && !address.includes("$")) this.#counts.add(`${this.#part} attached ${address}`);
  }

  /** One message may take several frames: it is counted with its last. */
  #transfer(channel: number, fields: readonly Typed[], bytes: number): void {
    const address = this.#links.get(`${channel}/${String(fields[0]?.value)}`) ?? "";
    const isLast = fields[5]?.value !== true;
    if (address.includes("$")) {
      if (isLast && this.#direction === "out") this.#counts.add(`${this.#part} asked ${address.replace(/^.*\$/, "")}`);
      return;
    }
    const verb = this.#direction === "out" ? "sent" : "received";
    this.#counts.add(`${this.#part} ${verb} bytes ${address}`, bytes);
    if (isLast) this.#counts.add(`${this.#part} ${verb} ${address}`);
  }
}
