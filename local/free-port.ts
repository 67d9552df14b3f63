import { createServer } from "node:net";

/**
 * A port of 127.0.0.1 that nobody listens on at this moment. Another process can take it before we do: callers start the server,
 * and try another port when it is taken.
 */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address && typeof address === "object") resolve(address.port);
        else reject(new Error("the operating system gave no port for 127.0.0.1"));
      });
    });
  });
}
