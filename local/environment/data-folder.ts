import { readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** Where one environment keeps what it has to remember. */
export interface DataFolder {
  readonly path: string;
  readonly tables: string;
  readonly bus: string;
  readonly secrets: string;
  readonly logs: string;
  readonly settingsFile: string;
  /** Lets others use it; a temporary one is removed. */
  release(): Promise<void>;
}

const lockFile = "environment.lock";

/**
 * Opens a folder for one environment; without a path, a temporary one.
 * @throws Error when another environment that still runs uses it
 */
export async function openDataFolder(path: string | undefined): Promise<DataFolder> {
  const folder = path === undefined ? await mkdtemp(join(tmpdir(), "pgdms-environment-")) : resolve(path);
  await mkdir(join(folder, "logs"), { recursive: true, mode: 0o700 });
  const lock = join(folder, lockFile);
  await takeLock(lock, folder);
  return {
    path: folder,
    tables: join(folder, "tables"),
    bus: join(folder, "bus"),
    secrets: join(folder, "secrets"),
    logs: join(folder, "logs"),
    settingsFile: join(folder, "local.settings.json"),
    release: () => (path === undefined ? rm(folder, { recursive: true, force: true, maxRetries: 5 }) : rm(lock, { force: true })),
  };
}

/** A lock of a process that is gone (or whose number another process has now) is taken over. */
async function takeLock(lock: string, folder: string): Promise<void> {
  const ours = `${process.pid} ${startOf(process.pid)}`;
  for (;;) {
    try {
      return await writeFile(lock, ours, { flag: "wx" });
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
    const [pid = "", start = ""] = (await readFile(lock, "utf8").catch(() => "")).split(" ");
    if (isRunning(Number(pid)) && startOf(Number(pid)) === start)
      throw new Error(`${folder} is in use by process ${pid}: stop that one, or choose another folder with --data`);
    await rm(lock, { force: true });
  }
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** When a process began, as the kernel counts; "" where it does not say (then the number alone has to do). */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""; // field 22; the name before it may hold anything
  } catch {
    return "";
  }
}
