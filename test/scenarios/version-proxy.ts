import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

const STARTUP = 0; // the first message of a connection has no type
const QUERY = 0x51;
const PARSE = 0x50;

/** What the worker asks for a server's version with. */
const VERSION = "current_setting('server_version_num')";

export interface VersionProxy {
  readonly port: number;
  /** Every statement that came through, the replication commands too. */
  readonly statements: readonly string[];
  stop(): Promise<void>;
}

/** Stands before a server and lets its clients believe that it is of another version; writes down what they send. */
export async function startVersionProxy(serverPort: number, versionNum: string): Promise<VersionProxy> {
  const statements: string[] = [];
  const sockets = new Set<Socket>();
  const onSql = (sql: string): string => {
    statements.push(sql);
    return sql.replaceAll(VERSION, `'${versionNum}'::text`);
  };
  const server = createServer((client) => {
    const upstream = connect(serverPort, "127.0.0.1");
    const frontend = new Frontend(onSql);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    upstream.pipe(client);
    client.on("data", (chunk: Buffer) => {
      for (const message of frontend.read(chunk)) upstream.write(message);
    });
    client.on("end", () => upstream.end());
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    statements,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Cuts what a client sends into messages, and gives SQL to be looked at (manual, 54.7 "Message Formats"). */
class Frontend {
  readonly #onSql: (sql: string) => string;
  #waiting: Buffer = Buffer.alloc(0);
  #isStarted = false;

  constructor(onSql: (sql: string) => string) {
    this.#onSql = onSql;
  }

  *read(chunk: Buffer): Generator<Buffer> {
    this.#waiting = Buffer.concat([this.#waiting, chunk]);
    for (;;) {
      const head = this.#isStarted ? 1 : STARTUP;
      if (this.#waiting.length < head + 4) return;
      const length = head + this.#waiting.readUInt32BE(head);
      if (this.#waiting.length < length) return;
      const message = this.#waiting.subarray(0, length);
      this.#waiting = this.#waiting.subarray(length);
      yield this.#isStarted ? this.#rewritten(message) : message;
      this.#isStarted = true; // no TLS and no cancel requests in these tests
    }
  }

  #rewritten(message: Buffer): Buffer {
    if (message[0] === QUERY) return withText(message, 5, this.#onSql);
    if (message[0] === PARSE) return withText(message, message.indexOf(0, 5) + 1, this.#onSql);
    return message;
  }
}

function withText(message: Buffer, start: number, change: (sql: string) => string): Buffer {
  const end = message.indexOf(0, start);
  const changed = Buffer.concat([
    message.subarray(0, start),
    Buffer.from(change(message.toString("utf8", start, end))),
    message.subarray(end),
  ]);
  changed.writeUInt32BE(changed.length - 1, 1);
  return changed;
}
