import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { generate } from "selfsigned";
import { describe, expect, test } from "vitest";
import { SocketValve } from "../../../worker/incremental-sync/socket-valve.ts";

const LINES = 300;
const LINE = "x".repeat(20);

async function tlsServer(): Promise<Server> {
  const { private: key, cert } = await generate([{ name: "commonName", value: "localhost" }]);
  return createTlsServer({ key, cert });
}

const kinds = [
  ["plain", () => Promise.resolve(createServer()), "connection", (port: number) => connect(port, "127.0.0.1")],
  ["TLS", tlsServer, "secureConnection", (port: number) => connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false })],
] as const;

describe.each(kinds)("a valve on a %s socket", (_name, makeServer, connected, open) => {
  test.each(["between two reads", "by the reader itself"])(
    "that is closed %s leaves what comes in the kernel, and loses nothing",
    async (when) => {
      const server = await makeServer();
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const accepted = once(server, connected) as Promise<[Socket]>;
      const socket = open((server.address() as AddressInfo).port);
      const valve = new SocketValve(socket);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (when === "by the reader itself" && chunks.length === 1) valve.close();
      });
      const [sender] = await accepted;
      sender.setNoDelay(true);
      sender.write("start");
      while (Buffer.concat(chunks).length < 5) await turn();
      valve.close();
      const before = socket.bytesRead;
      for (let n = 0; n < LINES; n++) await new Promise<void>((resolve) => sender.write(LINE, () => resolve()));
      expect(socket.bytesRead).toBe(before); // a stream that is only paused has read on here
      expect(Buffer.concat(chunks).toString()).toBe("start");
      valve.open();
      while (Buffer.concat(chunks).length < 5 + LINES * LINE.length) await turn();
      expect(Buffer.concat(chunks).toString()).toBe(`start${LINE.repeat(LINES)}`);
      socket.destroy();
      sender.destroy();
      server.close();
    },
  );
});
