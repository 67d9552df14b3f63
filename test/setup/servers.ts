import { type TestProject } from "vitest/node";
import { dirname } from "node:path";
import { ensureBuilt } from "../../local/environment/built.ts";
import { startPostgres } from "../../local/postgres.ts";

/**
 * What the tests start is built, and there is one set of servers for the whole run: the pair that most tests need. Tests of
 * other versions start theirs.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [source, target] = await Promise.all([
    startPostgres({ version: "13", settings: { max_replication_slots: "50", max_wal_senders: "50", max_connections: "200" } }),
    startPostgres({ version: "17", settings: { max_replication_slots: "50", max_wal_senders: "50", max_connections: "200" } }),
    ensureBuilt(dirname(dirname(import.meta.dirname)), new AbortController().signal),
  ]);
  project.provide("postgres13Port", source.port);
  project.provide("postgres17Port", target.port);
  return async () => {
    await Promise.all([source.stop(), target.stop()]);
  };
}

declare module "vitest" {
  interface ProvidedContext {
    postgres13Port: number;
    postgres17Port: number;
  }
}
