import { drainFingerprint } from "./data.ts";
import { type BenchServer, type ServerPair } from "./servers.ts";

/** A fast consumer that lost a row is no consumer. @throws Error when a target has other rows than the source in the tables of the drains */
export async function requireSameRows({ source, target }: ServerPair, database: string, targets: readonly string[]): Promise<void> {
  const expected = await fingerprint(source, database);
  for (const name of targets) {
    const found = await fingerprint(target, name);
    if (found !== expected) throw new Error(`${name} has other rows than the source: ${found} instead of ${expected}`);
  }
}

async function fingerprint(server: BenchServer, database: string): Promise<string> {
  const session = await server.connect(database);
  const { rows } = await session.query(drainFingerprint);
  await session.end();
  return JSON.stringify(rows);
}
