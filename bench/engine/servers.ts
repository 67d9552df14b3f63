import { existsSync, readdirSync } from "node:fs";
import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { execFile } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { generate } from "selfsigned";
import { freePort } from "../../local/free-port.ts";
import { startPostgres } from "../../local/postgres.ts";
import { serverEnvironment, writeHostBasedAuthentication } from "../../local/postgres/data-folder.ts";
import { temporaryFolderPrefix, writeOwner } from "../../local/postgres/leftovers.ts";
import { runAs } from "../../local/postgres/run-as.ts";
import { startServerProcess } from "../../local/postgres/server-process.ts";

/** A server of the bench, as all contestants see it. */
export interface BenchServer {
  readonly port: number;
  /** Of the postmaster. */
  readonly pid: number;
  readonly version: string;
  readonly usesTls: boolean;
  url(database: string): string;
  /** One session on one database. The caller ends it. */
  connect(database: string): Promise<pg.Client>;
  /** Runs statements one after the other on a session of their own. */
  run(database: string, ...statements: readonly string[]): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerPair {
  readonly source: BenchServer;
  readonly target: BenchServer;
  stop(): Promise<void>;
}

/** Where the programs of a PostgreSQL are: the embedded one of npm, or a folder such as /usr/lib/postgresql/15/bin. */
export type Programs = "embedded" | { readonly folder: string };

const EMBEDDED = "17";

/**
 * As a server in production is set, and alike for everybody: durable commits, no checkpoint in the middle of a run, and no
 * autovacuum, which would come at another moment in each run.
 */
const settings = {
  wal_level: "logical",
  fsync: "on",
  full_page_writes: "on",
  synchronous_commit: "on",
  shared_buffers: "1GB",
  max_wal_size: "8GB",
  min_wal_size: "2GB",
  checkpoint_timeout: "60min",
  autovacuum: "off",
  max_connections: "100",
  max_replication_slots: "30",
  max_wal_senders: "30",
  max_logical_replication_workers: "12",
  max_sync_workers_per_subscription: "2",
  max_worker_processes: "24",
  // Else a native apply worker that was stopped and started waits up to five seconds, and looks slower than it is.
  wal_retrieve_retry_interval: "50ms",
  maintenance_work_mem: "256MB",
  max_locks_per_transaction: "1024",
};

/**
 * Starts source and target.
 * @param more settings beside those that all benches have
 * @param usesTls whether the bench's own sessions are encrypted
 * @throws Error with the server's output when one does not start
 */
export async function startPair(programs: Programs, more: Readonly<Record<string, string>> = {}, usesTls = false): Promise<ServerPair> {
  const certificate = usesTls ? await makeCertificate() : undefined;
  const all = { ...settings, ...more, ...certificate?.settings };
  const [source, target] = await Promise.all([startServer(programs, all, usesTls), startServer(programs, all, usesTls)]);
  return {
    source,
    target,
    stop: async () => {
      await Promise.all([source.stop(), target.stop()]);
      await certificate?.remove();
    },
  };
}

/** A certificate that nobody has signed, as a server's settings. */
async function makeCertificate(): Promise<{ readonly settings: Record<string, string>; readonly remove: () => Promise<void> }> {
  const { uid, gid } = runAs();
  const folder = await mkdtemp(join(tmpdir(), "pgdms-bench-tls-"));
  await chmod(folder, 0o755); // PostgreSQL may run as another user
  const { private: key, cert } = await generate([{ name: "commonName", value: "localhost" }]);
  const files = { ssl_cert_file: join(folder, "server.crt"), ssl_key_file: join(folder, "server.key") };
  await writeFile(files.ssl_cert_file, cert);
  await writeFile(files.ssl_key_file, key, { mode: 0o600 });
  if (uid !== undefined) await chown(files.ssl_key_file, uid, gid);
  return { settings: { ssl: "on", ...files }, remove: () => rm(folder, { recursive: true, force: true }) };
}

async function startServer(programs: Programs, all: Readonly<Record<string, string>>, usesTls: boolean): Promise<BenchServer> {
  const started =
    programs === "embedded" ? await startPostgres({ version: EMBEDDED, settings: all }) : await startFrom(programs.folder, all);
  const client = await connectTo(started.port, "postgres", usesTls);
  const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version') AS version");
  await client.end();
  const connect = (database: string): Promise<pg.Client> => connectTo(started.port, database, usesTls);
  return {
    port: started.port,
    pid: started.pid,
    version: rows[0]?.version ?? "",
    usesTls,
    url: (database) => `postgresql://postgres@127.0.0.1:${started.port}/${database}`,
    connect,
    run: async (database, ...statements) => {
      const session = await connect(database);
      try {
        for (const statement of statements) await session.query(statement);
      } finally {
        await session.end();
      }
    },
    stop: started.stop,
  };
}

interface Started {
  readonly port: number;
  readonly pid: number;
  readonly stop: () => Promise<void>;
}

/** A server of programs that are not ours, in a temporary folder that goes with it. */
async function startFrom(folder: string, all: Readonly<Record<string, string>>): Promise<Started> {
  const user = runAs();
  const dataDir = await mkdtemp(join(tmpdir(), temporaryFolderPrefix));
  if (user.uid !== undefined) await chown(dataDir, user.uid, user.gid);
  const options = ["-D", dataDir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
  await promisify(execFile)(join(folder, "initdb"), options, { ...user, env: serverEnvironment, cwd: dataDir });
  await writeOwner(dataDir);
  await writeHostBasedAuthentication(dataDir, "trust");
  const port = await freePort();
  const server = await startServerProcess({
    program: join(folder, "postgres"),
    dataDir,
    port,
    settings: all,
    user,
    removeFolder: dataDir,
  });
  return {
    port,
    pid: server.pid,
    stop: async () => {
      await server.end("SIGINT");
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function connectTo(port: number, database: string, usesTls: boolean): Promise<pg.Client> {
  const ssl = usesTls ? { rejectUnauthorized: false } : false;
  const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", database, application_name: "bench", ssl });
  client.on("error", () => undefined);
  await client.connect();
  return client;
}

/** Major version of the embedded server, which a client program must not be older than. */
export const EMBEDDED_MAJOR = Number(EMBEDDED);

/** Debian keeps each version's programs in a folder of its own; the newest that has a server and is no newer than `major`. */
export function debianPrograms(major: number): Programs | undefined {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).map(Number) : [];
  const [found] = versions
    .filter((version) => version >= 14 && version <= major && existsSync(`${root}/${version}/bin/postgres`))
    .sort((a, b) => b - a);
  return found === undefined ? undefined : { folder: `${root}/${found}/bin` };
}
