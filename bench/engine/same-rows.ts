import { drainFingerprint } from "./data.ts";
import { type BenchServer, type ServerPair } from "./servers.ts";

/** A table's rows and the sum of their hashes. */
interface Fingerprint {
  readonly name: string;
  readonly rows: string;
  readonly sum: string;
}

/** A fast consumer that lost a row is no consumer. @throws Error when a target has other rows than the source in the tables of the drains */
export async function requireSameRows(pair: ServerPair, database: string, targets: readonly string[]): Promise<void> {
  for (const name of targets) {
    const difference = await otherRows(pair, database, name);
    if (difference !== undefined) throw new Error(difference);
  }
}

/** What a target has otherwise than the source, in words; undefined: nothing. */
export async function otherRows({ source, target }: ServerPair, database: string, name: string): Promise<string | undefined> {
  const [expected, found] = [await fingerprints(source, database), await fingerprints(target, name)];
  const different = expected.flatMap((table, n) => {
    const { rows, sum } = found[n] ?? { rows: "no", sum: "" };
    return rows === table.rows && sum === table.sum ? [] : `${table.name} (${rows} rows, the source has ${table.rows})`;
  });
  return different.length === 0 ? undefined : `${name} has other rows than the source in ${different.join(", ")}`;
}

async function fingerprints(server: BenchServer, database: string): Promise<Fingerprint[]> {
  const session = await server.connect(database);
  try {
    return (await session.query<Fingerprint>(drainFingerprint)).rows;
  } finally {
    await session.end();
  }
}
