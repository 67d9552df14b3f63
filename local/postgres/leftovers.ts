import { readFileSync } from "node:fs";
import { readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export const temporaryFolderPrefix = "pgdms-postgres-";
const ownerFileName = "pgdms.owner";
const stopTimeoutMs = 10_000;

/** Notes that this process uses the data folder. */
export const writeOwner = (dataDir: string): Promise<void> => writeFile(join(dataDir, ownerFileName), String(process.pid));

/**
 * Stops a server that still runs on the data folder although the process that started it is gone.
 * Throws when that process is alive: two programs must not share a folder.
 */
export async function stopLeftover(dataDir: string): Promise<void> {
  const serverPid = runningServer(dataDir);
  if (serverPid === undefined) return;
  const ownerPid = readPid(join(dataDir, ownerFileName));
  if (ownerPid !== undefined && isAlive(ownerPid)) {
    throw new Error(`${dataDir} is in use by process ${ownerPid} (PostgreSQL is process ${serverPid}): stop that one first`);
  }
  signal(serverPid, "SIGINT");
  for (const started = Date.now(); isAlive(serverPid); await sleep(20)) {
    if (Date.now() - started > stopTimeoutMs) signal(serverPid, "SIGQUIT");
    if (Date.now() - started > 2 * stopTimeoutMs) throw new Error(`PostgreSQL (process ${serverPid}) on ${dataDir} does not stop`);
  }
}

/** Removes the temporary folders of processes that are gone, and the servers on them. Never throws: this is tidying, not the task. */
export async function removeLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(temporaryFolderPrefix)) continue;
    const folder = join(tmpdir(), name);
    const ownerPid = readPid(join(folder, ownerFileName));
    if (ownerPid === undefined || isAlive(ownerPid)) continue;
    try {
      await stopLeftover(folder);
      await rm(folder, { recursive: true, force: true });
    } catch {
      // of another user, or another process is tidying it
    }
  }
}

/** The pid in postmaster.pid, if that process is still this folder's server and not a later process with the same number. */
function runningServer(dataDir: string): number | undefined {
  const pid = readPid(join(dataDir, "postmaster.pid"));
  if (pid === undefined || !isAlive(pid)) return undefined;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(dataDir) ? pid : undefined;
  } catch {
    return process.platform === "linux" ? undefined : pid;
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(file, "utf8"), 10);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // it has just ended
  }
}
