import { createServer } from "node:http";
import { once } from "node:events";
import { type AddressInfo } from "node:net";

export interface HealthEndpoint {
  readonly port: number;
  close(): void;
}

/** Answers `GET /health` as the emulator does. @throws Error when the port is taken */
export async function startHealthEndpoint(port: number, host: string): Promise<HealthEndpoint> {
  const server = createServer((request, response) => {
    const isHealth = request.method === "GET" && request.url === "/health";
    response.writeHead(isHealth ? 200 : 404, { "Content-Type": "application/json" });
    response.end(isHealth ? JSON.stringify({ status: "healthy" }) : undefined);
  });
  server.listen({ port, host });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
