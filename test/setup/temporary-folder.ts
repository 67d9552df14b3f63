import { chmodSync, mkdirSync, readFileSync, statfsSync } from "node:fs";
import { join } from "node:path";

const MEMORY = "/dev/shm";
const FREE_BYTES_MIN = 8 * 1024 ** 3;

/**
 * Temporary files of a run, those of the servers above all, lie in memory where there is enough of it: making a database
 * takes 300 files, which cost a disk's file system several times what they cost there. An own TMPDIR stays as it is.
 *
 * The folder has the same name in each run: what a killed run left is found by the next one.
 */
export function keepTemporaryFilesInMemory(env: NodeJS.ProcessEnv): void {
  const hasRoom = Math.min(freeBytes(), process.availableMemory()) >= FREE_BYTES_MIN && !mayNotRunPrograms();
  if (env["TMPDIR"] !== undefined || process.platform !== "linux" || !hasRoom) return;
  const folder = join(MEMORY, `pgdms-tests-${process.getuid?.() ?? 0}`);
  mkdirSync(folder, { recursive: true });
  chmodSync(folder, 0o1777); // servers that root starts run as another user
  env["TMPDIR"] = folder;
}

/** Some tests put programs there. */
const mayNotRunPrograms = (): boolean =>
  readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .some((line) => line.split(" ")[1] === MEMORY && (line.split(" ")[3] ?? "").split(",").includes("noexec"));

function freeBytes(): number {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return bavail * bsize;
  } catch {
    return 0;
  }
}
