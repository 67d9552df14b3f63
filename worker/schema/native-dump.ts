import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootCertificates } from "node:tls";
import { promisify } from "node:util";
import { MigrationError } from "../../contracts/errors.ts";
import { type Server } from "../postgres/server.ts";
import { whenAborted } from "../signals.ts";

/** A schema larger than this does not fit into one simple query. */
const SCHEMA_BYTES_MAX = 256 * 1024 * 1024;

/** So much of the end of what pg_dump says on stderr is kept for the error. */
const STDERR_CHARS_MAX = 2_000;

const VERSION_TIMEOUT_MS = 10_000;

export interface PgDump {
  readonly path: string;
  readonly major: number;
}

/** Looks whether a pg_dump can be run, and which one it is. */
export async function findPgDump(path: string): Promise<PgDump | undefined> {
  try {
    const { stdout } = await promisify(execFile)(path, ["--version"], { timeout: VERSION_TIMEOUT_MS });
    const major = /\b(\d+)(?:\.\d+|beta|rc|devel)/.exec(stdout)?.[1];
    return major === undefined ? undefined : { path, major: Number(major) };
  } catch {
    return undefined; // not there, or not for this system
  }
}

/**
 * Runs the program and gives what it wrote to stdout. The connection goes by environment variables: an argument would show
 * the password in the process list, and a database name with "=" would be taken for a connection string.
 * @throws MigrationError PgDumpUnusable with what it said, or the signal's reason.
 */
export async function runPgDump(path: string, server: Server, dumpArguments: readonly string[], signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const folder = await mkdtemp(join(tmpdir(), "pgdms-dump-"));
  try {
    const env = await dumpEnvironment(server, folder);
    return await collect(path, dumpArguments, env, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function dumpEnvironment({ connection, password }: Server, folder: string): Promise<NodeJS.ProcessEnv> {
  const secret = await password();
  const { encryptConnection, trustServerCertificate } = connection;
  return {
    PATH: process.env["PATH"],
    HOME: folder, // no .pgpass, no client certificates of whoever runs the worker
    LC_ALL: "C",
    PGHOST: connection.serverName,
    PGPORT: String(connection.port),
    PGUSER: connection.userName,
    PGDATABASE: connection.databaseName,
    PGAPPNAME: "pgdms: schema dump",
    PGCONNECT_TIMEOUT: "15",
    PGSSLMODE: encryptConnection ? (trustServerCertificate ? "require" : "verify-full") : "disable",
    ...(encryptConnection && !trustServerCertificate ? { PGSSLROOTCERT: await writeRootCertificates(folder) } : {}),
    ...(secret === undefined ? {} : { PGPASSWORD: secret }),
  };
}

/** The authorities that Node trusts, for libpq: both must judge a server alike. */
async function writeRootCertificates(folder: string): Promise<string> {
  const extra = process.env["NODE_EXTRA_CA_CERTS"];
  const more = extra === undefined ? "" : await readFile(extra, "utf8").catch(() => "");
  const file = join(folder, "root.crt");
  await writeFile(file, `${rootCertificates.join("\n")}\n${more}`);
  return file;
}

function collect(path: string, dumpArguments: readonly string[], env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(path, [...dumpArguments, "--no-password"], { env, stdio: ["ignore", "pipe", "pipe"] });
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    let said = "";
    const unhook = whenAborted(signal, () => void child.kill("SIGTERM"));
    child.stdout.on("data", (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > SCHEMA_BYTES_MAX) child.kill("SIGTERM");
      else chunks.push(chunk);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-STDERR_CHARS_MAX)));
    child.once("error", (cause) => reject(new MigrationError("PgDumpUnusable", { detail: `${path}: ${cause.message}.`, cause })));
    child.once("close", (code) => {
      unhook();
      if (signal.aborted) return reject(signal.reason as Error);
      if (code === 0) return resolve(Buffer.concat(chunks).toString("utf8"));
      const why = sizeBytes > SCHEMA_BYTES_MAX ? `the schema has more than ${SCHEMA_BYTES_MAX} bytes` : said.trim();
      reject(new MigrationError("PgDumpUnusable", { detail: `pg_dump failed: ${why}` }));
    });
  });
}
