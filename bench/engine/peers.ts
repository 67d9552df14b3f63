import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type pg from "pg";
import { programs as meteredPrograms } from "./meter.ts";
import { type BenchServer, type ServerPair } from "./servers.ts";

/** A program of a peer that was found. */
interface Tool {
  readonly path: string;
  readonly version: string;
  readonly major: number;
}

export interface Tools {
  readonly psql: Tool | undefined;
  readonly pgDump: Tool | undefined;
  readonly pgRestore: Tool | undefined;
  readonly pgcopydb: Tool | undefined;
}

/** Where to look before PATH. */
const variables = { psql: "BENCH_PSQL", pgDump: "BENCH_PG_DUMP", pgRestore: "BENCH_PG_RESTORE", pgcopydb: "BENCH_PGCOPYDB" } as const;

export async function findTools(env: NodeJS.ProcessEnv): Promise<Tools> {
  const find = (name: keyof typeof variables, program: string): Promise<Tool | undefined> => findTool(env[variables[name]] ?? program);
  const [psql, pgDump, pgRestore, pgcopydb] = await Promise.all([
    find("psql", "psql"),
    find("pgDump", "pg_dump"),
    find("pgRestore", "pg_restore"),
    find("pgcopydb", "pgcopydb"),
  ]);
  return { psql, pgDump, pgRestore, pgcopydb };
}

async function findTool(path: string): Promise<Tool | undefined> {
  try {
    const { stdout, stderr } = await promisify(execFile)(path, ["--version"], { timeout: 10_000 });
    const version = /(\d+)\.\d+\S*/.exec(stdout + stderr);
    return { path, version: version?.[0] ?? "?", major: Number(version?.[1]) };
  } catch {
    return undefined; // not there
  }
}

/** What was looked for and not found, for the reader. */
export const missingTools = (tools: Tools): string[] =>
  (Object.keys(variables) as (keyof typeof variables)[]).flatMap((name) =>
    tools[name]
      ? []
      : [
          `${name === "pgcopydb" ? "pgcopydb" : name === "psql" ? "psql" : name === "pgDump" ? "pg_dump" : "pg_restore"} is missing (not on PATH, ${variables[name]} is not set)`,
        ],
  );

/** All programs of all peers: their CPU time and memory. */
export const client = meteredPrograms("client");

/** Runs programs joined by pipes, or one alone. @throws Error with what they said when one fails */
async function runPipe(...commands: readonly (readonly string[])[]): Promise<void> {
  await startPipe(commands).succeeded;
}

/** What ends the programs that run. */
const running = new Set<() => void>();

/** Ends all peers that are programs: one whose servers are gone may wait for them for ever. */
export function stopPrograms(): void {
  for (const stop of running) stop();
}

/** They get a process group of their own, and stop() tells all of it: pgcopydb does not tell its children. */
function startPipe(commands: readonly (readonly string[])[]): { readonly succeeded: Promise<void>; stop(): void } {
  const quoted = commands.map((command) => command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ")).join(" | ");
  const child = spawn("/bin/bash", ["-o", "pipefail", "-c", quoted], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PGAPPNAME: "bench" },
    detached: true,
  });
  const { pid } = child;
  if (pid !== undefined) client.watch(pid);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-4_000)));
  const closed = new Promise<number | null>((resolve) => child.once("close", resolve));
  const succeeded = closed.then((code) => {
    if (code !== 0) throw new Error(`${commands[0]?.[0] ?? ""} failed (${code}): ${said}`);
  });
  const stop = (): void => {
    if (pid !== undefined && child.exitCode === null && child.signalCode === null) process.kill(-pid, "SIGTERM");
  };
  running.add(stop);
  void closed.then(() => running.delete(stop));
  return { succeeded, stop };
}

/** Databases of a run, by name. */
export interface Names {
  readonly source: string;
  readonly target: string;
}

/** pg_dump into a folder without compression, then pg_restore; two jobs each. */
export async function dumpAndRestore(
  { pgDump, pgRestore }: Tools,
  pair: ServerPair,
  { source, target }: Names,
  what: "all" | "data",
): Promise<void> {
  if (!pgDump || !pgRestore) throw new Error("pg_dump is missing");
  const folder = await mkdtemp(join(tmpdir(), "pgdms-bench-"));
  try {
    const only = what === "data" ? ["-a"] : [];
    await runPipe([pgDump.path, "-Fd", "-j2", "-Z0", ...only, "-f", join(folder, "dump"), pair.source.url(source)]);
    await runPipe([pgRestore.path, "-j2", ...only, "-d", pair.target.url(target), join(folder, "dump")]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function pgcopydbClone({ pgcopydb }: Tools, pair: ServerPair, { source, target }: Names): Promise<void> {
  if (!pgcopydb) throw new Error("pgcopydb is missing");
  const folder = await mkdtemp(join(tmpdir(), "pgdms-bench-"));
  const options = isModern(pgcopydb) ? ["--use-copy-binary", "--split-tables-larger-than", "200MB", "--skip-vacuum"] : [];
  try {
    await runPipe(
      [
        pgcopydb.path,
        "clone",
        ...["--source", pair.source.url(source), "--target", pair.target.url(target)],
        ...["--table-jobs", "2", "--index-jobs", "2", "--no-role-passwords", "--dir", join(folder, "work"), ...options],
      ].filter((word) => isModern(pgcopydb) || word !== "--no-role-passwords"),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Databases of pgcopydb's own sync, and what it keeps there. */
export interface FollowNames extends Names {
  /** Of the slot and of the target's replication origin. */
  readonly slot: string;
  /** Its work directory, which it makes. */
  readonly folder: string;
}

/** The output plugin of pgcopydb's follow that all of its versions know: the source's server must have it. */
export const FOLLOW_PLUGIN = "wal2json";

/** The oldest version that is met has other options. */
const isModern = ({ version }: Tool): boolean => !version.startsWith("0.10");

const followOptions = (pgcopydb: Tool, pair: ServerPair, { source, target, slot, folder }: FollowNames): string[] => [
  ...["--source", pair.source.url(source), "--target", pair.target.url(target), "--dir", folder],
  ...["--slot-name", slot, "--origin", slot, "--not-consistent"],
  ...(isModern(pgcopydb) ? ["--plugin", FOLLOW_PLUGIN] : []),
];

/** Makes pgcopydb's slot: what is written from now on is followed by pgcopydbFollow. */
export async function pgcopydbSetUp({ pgcopydb }: Tools, pair: ServerPair, names: FollowNames): Promise<void> {
  if (!pgcopydb) throw new Error("pgcopydb is missing");
  await runPipe([pgcopydb.path, "stream", "setup", ...followOptions(pgcopydb, pair, names)]);
  const where = isModern(pgcopydb) ? ["--dir", names.folder] : ["--source", pair.source.url(names.source)];
  await runPipe([pgcopydb.path, "stream", "sentinel", "set", "apply", ...where]);
}

/**
 * Follows until the last row is there, and is ended then: by its --endpos alone 0.10 waits for ever where nothing was committed
 * behind it, and without one it never applies the file that it is writing.
 * @returns seconds until the row was there.
 */
export async function pgcopydbFollow(
  { pgcopydb }: Tools,
  pair: ServerPair,
  names: FollowNames,
  lastRow: () => Promise<void>,
): Promise<number> {
  if (!pgcopydb) throw new Error("pgcopydb is missing");
  const session = await pair.source.connect(names.source);
  const { rows } = await session.query<{ lsn: string }>("SELECT pg_current_wal_insert_lsn()::text AS lsn");
  await session.end();
  const startedMs = performance.now();
  const end = ["--endpos", rows[0]?.lsn ?? ""];
  const follow = startPipe([[pgcopydb.path, "follow", ...followOptions(pgcopydb, pair, names), "--resume", ...end]]);
  const ended = follow.succeeded;
  const endedWithout = ended
    .then(() => sleep(1_000))
    .then(() => Promise.reject(new Error("pgcopydb follow has ended without the last row")));
  endedWithout.catch(() => undefined); // it ends in any case, also when the row is there
  try {
    await Promise.race([lastRow(), endedWithout]);
    return (performance.now() - startedMs) / 1000;
  } finally {
    follow.stop();
    await ended.catch(() => undefined);
  }
}

/** psql to psql in binary form, four at once; tables of some size in two halves by their addresses. */
export async function psqlPairs({ psql }: Tools, pair: ServerPair, { source, target }: Names): Promise<void> {
  if (!psql) throw new Error("psql is missing");
  const parts = await copyStatements(pair.source, source);
  const waiting = [...parts];
  const stream = async (): Promise<void> => {
    for (let part = waiting.shift(); part; part = waiting.shift())
      await runPipe(
        [psql.path, "-XqAt", "-d", pair.source.url(source), "-c", `COPY (${part.query}) TO STDOUT (FORMAT binary)`],
        [psql.path, "-XqAt", "-d", pair.target.url(target), "-c", `COPY ${part.into} FROM STDIN (FORMAT binary)`],
      );
  };
  await Promise.all(Array.from({ length: 4 }, stream));
}

async function copyStatements(server: BenchServer, database: string): Promise<{ query: string; into: string }[]> {
  const session = await server.connect(database);
  try {
    const { rows } = await session.query<{ name: string; pages: number }>(
      "SELECT oid::regclass::text AS name, relpages AS pages FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relpages DESC",
    );
    return rows.flatMap(({ name, pages }) => {
      const half = Math.floor(pages / 2);
      const cuts = pages > 1_000 ? [`WHERE ctid < '(${half},0)'`, `WHERE ctid >= '(${half},0)'`] : [""];
      return cuts.map((cut) => ({ query: `SELECT * FROM ${name} ${cut}`, into: name }));
    });
  } finally {
    await session.end();
  }
}

export interface SubscriptionOptions {
  readonly name: string;
  readonly publication: string;
  /** `off`, `on` or, since 16, `parallel`. */
  readonly streaming: "off" | "on" | "parallel";
  /** logical_decoding_work_mem of the walsender; undefined: the server's. */
  readonly decodingMemory?: string;
  readonly copyData: boolean;
  readonly enabled: boolean;
}

/** PostgreSQL's own logical replication, in binary form. */
export class Subscription {
  readonly #pair: ServerPair;
  readonly #names: Names;
  readonly #options: SubscriptionOptions;

  constructor(pair: ServerPair, names: Names, options: SubscriptionOptions) {
    this.#pair = pair;
    this.#names = names;
    this.#options = options;
  }

  async create(): Promise<void> {
    const { name, publication, streaming, decodingMemory, copyData, enabled } = this.#options;
    const memory = decodingMemory === undefined ? "" : ` options=''-c logical_decoding_work_mem=${decodingMemory}''`;
    const connection = `host=127.0.0.1 port=${this.#pair.source.port} user=postgres dbname=${this.#names.source}${memory}`;
    await this.#onTarget(
      `CREATE SUBSCRIPTION ${name} CONNECTION '${connection}' PUBLICATION ${publication}
         WITH (binary = true, streaming = ${streaming}, copy_data = ${copyData}, enabled = ${enabled}, slot_name = '${name}')`,
    );
  }

  enable(): Promise<void> {
    return this.#onTarget(`ALTER SUBSCRIPTION ${this.#options.name} ENABLE`);
  }

  /** Ends the apply worker and waits until nobody reads the slot. */
  async disable(): Promise<void> {
    await this.#onTarget(`ALTER SUBSCRIPTION ${this.#options.name} DISABLE`);
    await slotIsFree(this.#pair.source, this.#names.source, this.#options.name);
  }

  /** Waits until every table's initial copy is done. */
  async synced(): Promise<void> {
    const session = await this.#pair.target.connect(this.#names.target);
    try {
      await until(async () => {
        const { rows } = await session.query<{ waiting: string }>(
          "SELECT count(*) FILTER (WHERE srsubstate NOT IN ('r', 's')) AS waiting FROM pg_subscription_rel",
        );
        return rows[0]?.waiting === "0";
      });
    } finally {
      await session.end();
    }
  }

  async drop(): Promise<void> {
    await this.#onTarget(`DROP SUBSCRIPTION ${this.#options.name}`);
  }

  #onTarget(statement: string): Promise<void> {
    return this.#pair.target.run(this.#names.target, statement);
  }
}

/** Waits for a state, looking often. */
async function until(isThere: () => Promise<boolean>, intervalMs = 10): Promise<void> {
  while (!(await isThere())) await sleep(intervalMs);
}

/** Waits until nobody reads a slot. */
export async function slotIsFree(server: BenchServer, database: string, slot: string): Promise<void> {
  const session = await server.connect(database);
  try {
    await until(
      async () => (await session.query("SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active", [slot])).rowCount === 0,
    );
  } finally {
    await session.end();
  }
}

/** What is measured takes seconds, and each look takes from it. */
const ARRIVAL_POLL_MS = 50;

/** Waits until a row is on the target. */
export function arrives(session: pg.Client, table: string, id: number): Promise<void> {
  return until(async () => (await session.query(`SELECT FROM ${table} WHERE id = $1`, [id])).rowCount === 1, ARRIVAL_POLL_MS);
}
