import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { chown, chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { type PostgresBinaries, type PostgresVersion } from "./binaries.ts";
import { type RunAs } from "./run-as.ts";
import { renewSystemIdentifier } from "./system-identifier.ts";

const execute = promisify(execFile);

/** What the binaries need to know of the surroundings: no locale, no time zone, nothing of the caller's PG* variables. */
export const serverEnvironment = { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC" };

/**
 * Fills an empty folder with a new cluster; a folder that holds one of the same version is left as it is.
 * Throws when it holds another version.
 */
export async function prepareDataFolder(dataDir: string, version: PostgresVersion, binaries: PostgresBinaries, user: RunAs): Promise<void> {
  const versionFile = join(dataDir, "PG_VERSION");
  if (existsSync(versionFile)) {
    const found = readFileSync(versionFile, "utf8").trim();
    if (found !== version) throw new Error(`${dataDir} holds data of PostgreSQL ${found}, not ${version}: use another folder or delete it`);
    return;
  }
  await ownFolder(dataDir, user);
  const template = await ensureTemplate(binaries, user);
  if (!template) return initdb(dataDir, binaries, user);
  await execute("cp", ["-a", `${template}/.`, dataDir]); // keeps the owner, which fs.cp does not
  await renewSystemIdentifier(dataDir);
}

/** Creates the folder, closed to everyone but the user that PostgreSQL runs as. */
async function ownFolder(folder: string, user: RunAs): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o700);
  if (user.uid !== undefined) await chown(folder, user.uid, user.gid);
}

/**
 * A cluster fresh from initdb (about one second), kept beside other build caches and copied (about 50 ms) for each server.
 * Undefined when the cache cannot be written.
 */
async function ensureTemplate(binaries: PostgresBinaries, user: RunAs): Promise<string | undefined> {
  const template = join(binaries.nodeModules, ".cache", "pgdms", `postgres-${binaries.release}-uid-${user.uid ?? process.getuid?.() ?? 0}`);
  if (existsSync(template)) return template;
  let draft: string;
  try {
    await mkdir(dirname(template), { recursive: true });
    draft = await mkdtemp(join(dirname(template), `${basename(template)}.draft-`));
  } catch {
    return undefined;
  }
  try {
    await ownFolder(draft, user);
    await initdb(draft, binaries, user);
    await rename(draft, template);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    if (!existsSync(template)) throw error; // else another process was faster
  }
  return template;
}

async function initdb(dataDir: string, binaries: PostgresBinaries, user: RunAs): Promise<void> {
  const options = ["-D", dataDir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
  await execute(binaries.initdb, options, { ...user, env: serverEnvironment, cwd: dataDir });
}

export type PostgresAuthentication = "trust" | "scram-sha-256";

/** Writes pg_hba.conf: loopback only, replication connections included. */
export async function writeHostBasedAuthentication(dataDir: string, method: PostgresAuthentication): Promise<void> {
  const lines = ["all", "replication"].map((database) => `host ${database} all 127.0.0.1/32 ${method}\n`);
  await writeFile(join(dataDir, "pg_hba.conf"), lines.join(""));
}

/**
 * The password of the user postgres: the one of the last start, or a new one. It is kept inside the data folder, so that a restart on the same
 * folder answers to the same password, and set by a single-user server, so that there is no moment without one.
 */
export async function ensurePassword(dataDir: string, binaries: PostgresBinaries, user: RunAs): Promise<string> {
  const file = join(dataDir, "pgdms.password");
  if (existsSync(file)) return readFile(file, "utf8");
  const password = randomBytes(24).toString("base64url");
  const single = execute(binaries.postgres, ["--single", "-D", dataDir, "-c", "password_encryption=scram-sha-256", "postgres"], {
    ...user,
    env: serverEnvironment,
    cwd: dataDir,
  });
  single.child.stdin?.end(`ALTER ROLE postgres PASSWORD '${password}'\n`);
  await single;
  await writeFile(file, password, { mode: 0o600 });
  return password;
}
