import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./free-port.ts";
import { findBinaries, type PostgresVersion } from "./postgres/binaries.ts";
import { ensurePassword, prepareDataFolder, writeHostBasedAuthentication, type PostgresAuthentication } from "./postgres/data-folder.ts";
import { removeLeftovers, stopLeftover, temporaryFolderPrefix, writeOwner } from "./postgres/leftovers.ts";
import { assertReachable, runAs } from "./postgres/run-as.ts";
import { PortTakenError, startServerProcess, type ServerOptions, type ServerProcess } from "./postgres/server-process.ts";

export interface PostgresOptions {
  readonly version: PostgresVersion;
  /** Kept after stop(); a folder with data of the same version is started again. Default: a temporary folder, removed by stop(). */
  readonly dataDir?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Server settings, over the defaults below. */
  readonly settings?: Readonly<Record<string, string>>;
  /** `scram-sha-256`: the user postgres gets a random password, kept in the data folder. Default: `trust`. */
  readonly auth?: PostgresAuthentication;
}

export interface PostgresServer {
  readonly version: PostgresVersion;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly dataDir: string;
  /** Of the running postmaster; another one after restart(). */
  readonly pid: number;
  /** `postgresql://user[:password]@host:port/database` */
  url(database: string): string;
  /** Fast shutdown; a temporary data folder is removed. May be called twice. */
  stop(): Promise<void>;
  /** Kills the postmaster with SIGKILL: a crash. restart() brings the server back with what was committed. */
  kill(): Promise<void>;
  /** Fast shutdown if it runs, then a start on the same port and folder; `settings` are added to those of the start. */
  restart(settings?: Readonly<Record<string, string>>): Promise<void>;
}

/** Speed over safety from power cuts. Not `synchronous_commit = off`: logical decoding would see a commit only when the WAL writer has flushed it. */
const defaultSettings = {
  wal_level: "logical",
  max_replication_slots: "20",
  max_wal_senders: "20",
  fsync: "off",
  full_page_writes: "off",
  shared_buffers: "32MB",
};

/**
 * Starts a real PostgreSQL server on 127.0.0.1, from the binaries that npm installed; as root it runs as the user `nobody`. Superuser is `postgres`.
 *
 * The server ends when this process ends, SIGKILL included; nothing has to be installed for that. Throws when the platform has no
 * binaries, when `dataDir` holds another version or is in use, when `port` is taken, and with the server's own output when it does not start.
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { version, auth = "trust" } = options;
  const binaries = findBinaries(version);
  const user = runAs();
  await removeLeftovers();
  const temporary = options.dataDir === undefined;
  const dataDir = options.dataDir === undefined ? await mkdtemp(join(tmpdir(), temporaryFolderPrefix)) : resolve(options.dataDir);
  const removeFolder = temporary ? dataDir : "";
  try {
    await stopLeftover(dataDir);
    await prepareDataFolder(dataDir, version, binaries, user);
    assertReachable(dataDir, user);
    await writeOwner(dataDir);
    await writeHostBasedAuthentication(dataDir, auth);
    const password = auth === "trust" ? undefined : await ensurePassword(dataDir, binaries, user);
    const settings = { ...defaultSettings, ...options.settings };
    const start = { program: binaries.postgres, dataDir, settings, user, removeFolder };
    const { port, server } = await startOnPort(start, options.port);
    return serve({ ...start, port }, server, version, password);
  } catch (error) {
    if (temporary) await rm(dataDir, { recursive: true, force: true });
    throw error;
  }
}

const portAttemptsMax = 5;

async function startOnPort(start: Omit<ServerOptions, "port">, wanted?: number): Promise<{ port: number; server: ServerProcess }> {
  for (let attempt = 1; ; attempt++) {
    const port = wanted ?? (await freePort());
    try {
      return { port, server: await startServerProcess({ ...start, port }) };
    } catch (error) {
      if (!(error instanceof PortTakenError)) throw error;
      if (wanted !== undefined) throw new Error(`port ${port} of 127.0.0.1 is taken: choose another port`, { cause: error });
      if (attempt === portAttemptsMax) throw error;
    }
  }
}

function serve(start: ServerOptions, first: ServerProcess, version: PostgresVersion, password?: string): PostgresServer {
  let server = first;
  let settings = start.settings;
  return {
    version,
    host: "127.0.0.1",
    port: start.port,
    user: "postgres",
    ...(password === undefined ? {} : { password }),
    dataDir: start.dataDir,
    get pid() {
      return server.pid;
    },
    url(database) {
      return `postgresql://postgres${password === undefined ? "" : `:${password}`}@127.0.0.1:${start.port}/${encodeURIComponent(database)}`;
    },
    async stop() {
      await server.end("SIGINT");
      if (start.removeFolder) await rm(start.removeFolder, { recursive: true, force: true, maxRetries: 5 });
    },
    kill: () => server.end("SIGKILL"),
    async restart(more = {}) {
      await server.end("SIGINT");
      settings = { ...settings, ...more };
      server = await startAgain({ ...start, settings });
    },
  };
}

const startAgainAttemptsMax = 50;

/** After a crash the old backends need a moment to notice that their postmaster is gone; until then its memory and lock file look alive. */
async function startAgain(options: ServerOptions): Promise<ServerProcess> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startServerProcess(options);
    } catch (error) {
      const message = error instanceof Error ? error.message : "";
      const passes = error instanceof PortTakenError || /pre-existing shared memory block|lock file .* already exists/.test(message);
      if (!passes || attempt === startAgainAttemptsMax) throw error;
      await sleep(100);
    }
  }
}
