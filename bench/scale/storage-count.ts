import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type Counting, type Counts, startCounting } from "./counts.ts";

/**
 * Passes requests on to a table service and counts them as `storage <table> <operation>`: get, query, write and batch, with
 * the rows of batches as `storage <table> row`, and bytes as `storage bytes`.
 */
export function countStorage(targetPort: number, counts: Counts): Promise<Counting> {
  const server = createServer((incoming, answer) => void passOn(targetPort, incoming, answer, counts));
  return startCounting(server, () => server.closeAllConnections());
}

async function passOn(port: number, incoming: IncomingMessage, answer: ServerResponse, counts: Counts): Promise<void> {
  const { method = "GET", url = "/", headers } = incoming;
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  count(method, url, body, counts);
  const outgoing = request({ host: "127.0.0.1", port, method, path: url, headers }, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers);
    response.pipe(answer);
  });
  outgoing.on("error", () => answer.destroy());
  outgoing.end(body);
}

/** A batch is one request, and names its table in each of its parts only. */
function count(method: string, url: string, body: Buffer, counts: Counts): void {
  counts.add("storage bytes", body.length);
  const path = decodeURIComponent(new URL(url, "http://tables").pathname);
  if (path.endsWith("/$batch")) {
    const rows = [...body.toString("latin1").matchAll(/^(?:PUT|POST|MERGE|PATCH|DELETE) \S*\/(\w+)\S* HTTP/gm)];
    const table = rows[0]?.[1] ?? "unknown";
    counts.add(`storage ${table} batch`);
    counts.add(`storage ${table} row`, rows.length);
    return;
  }
  const [, table = "", key = ""] = /\/(\w+)(\(.*\))?$/.exec(path) ?? [];
  const operation = method !== "GET" ? "write" : key.length > 2 ? "get" : "query";
  counts.add(`storage ${table} ${operation}`);
}
