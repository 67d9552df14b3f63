import { createServer, request, type IncomingMessage } from "node:http";
import { type AddressInfo } from "node:net";

/** Stands between a client and the REST API and keeps all that the API answers. */
export interface Recorder {
  readonly url: string;
  /** Head and body of every answer. */
  readonly answers: readonly string[];
  stop(): Promise<void>;
}

export async function startRecorder(target: string): Promise<Recorder> {
  const answers: string[] = [];
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      const body = await bytesOf(incoming);
      const { method, headers } = incoming; // the host among them: links lead back to us
      const forwarded = request(`${target}${incoming.url ?? ""}`, { method, headers }, (answer) => {
        void bytesOf(answer).then((text) => {
          answers.push(`${method} ${incoming.url} ${answer.statusCode} ${JSON.stringify(answer.headers)}\n${text.toString()}`);
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers).end(text);
        });
      });
      forwarded.on("error", () => outgoing.destroy());
      forwarded.end(body);
    })();
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answers,
    stop: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
