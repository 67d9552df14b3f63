import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { deployables, localParts } from "../../scripts/bundles.ts";

interface Build {
  readonly script: string;
  readonly outputs: readonly string[];
  readonly sources: readonly string[];
}

const scripts = ["scripts/build-bundles.ts", "scripts/bundle.ts", "scripts/bundles.ts"];

const builds: readonly Build[] = [
  {
    script: "scripts/build.ts",
    outputs: deployables.map(({ outfile }) => outfile),
    sources: ["functions", "worker", "contracts", "scripts/build.ts", ...scripts, "package-lock.json"],
  },
  {
    script: "scripts/build-local.ts",
    outputs: localParts.map(({ outfile }) => outfile),
    sources: ["local/functions-host", "local/broker", "functions", "contracts", "scripts/build-local.ts", ...scripts, "package-lock.json"],
  },
  {
    script: "scripts/build-portal.ts",
    outputs: ["dist/portal/index.html"],
    sources: ["portal", "contracts", "scripts/build-portal.ts", "scripts/portal-bundle.ts", "package-lock.json"],
  },
];

/**
 * Builds what is not there or is older than its sources: what runs locally is what is deployed. Environments that start at
 * the same time build once.
 * @throws Error with what the build said
 */
export async function ensureBuilt(root: string, signal: AbortSignal): Promise<void> {
  const outcomes = await Promise.allSettled(builds.map((build) => ensureOne(root, build, signal)));
  const failure = outcomes.find((outcome) => outcome.status === "rejected"); // thrown when none is under way any more
  if (failure) throw failure.reason;
}

async function ensureOne(root: string, build: Build, signal: AbortSignal): Promise<void> {
  if (await isFresh(root, build)) return;
  await alone(join(root, "node_modules/.cache", `pgdms-${basename(build.script, ".ts")}`), signal, async () => {
    if (!(await isFresh(root, build))) await run(root, build.script, signal);
  });
}

async function isFresh(root: string, { outputs, sources }: Build): Promise<boolean> {
  const built = await Promise.all(outputs.map((output) => changedMs(join(root, output))));
  const written = await Promise.all(sources.map((source) => newestMs(join(root, source))));
  return Math.min(...built) >= Math.max(...written);
}

/** 0 when it is not there. */
const changedMs = async (path: string): Promise<number> => (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;

async function newestMs(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return found?.mtimeMs ?? 0;
  const files = await readdir(path, { recursive: true, withFileTypes: true });
  const times = files.filter((file) => file.isFile()).map((file) => changedMs(join(file.parentPath, file.name)));
  return Math.max(0, ...(await Promise.all(times)));
}

const lockAgeMsMax = 120_000;

/** A folder is the lock: making one succeeds once. One that is too old was left by a process that was killed. */
async function alone(lock: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  await mkdir(join(lock, ".."), { recursive: true });
  for (;;) {
    try {
      await mkdir(lock);
      break;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      if (Date.now() - (await changedMs(lock)) > lockAgeMsMax || (await isLeft(lock))) await rm(lock, { recursive: true, force: true });
      else await sleep(100, undefined, { signal });
    }
  }
  try {
    await writeFile(join(lock, String(process.pid)), "");
    await work();
  } finally {
    await rm(lock, { recursive: true, force: true });
  }
}

/** Whether the process that holds the lock is gone. */
async function isLeft(lock: string): Promise<boolean> {
  const [pid] = await readdir(lock).catch(() => []);
  return pid !== undefined && existsSync("/proc") && !existsSync(`/proc/${pid}`);
}

function run(root: string, script: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", "tsx", script], { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (text: Buffer) => (output += text.toString()));
    child.stderr.on("data", (text: Buffer) => (output += text.toString()));
    const onAbort = (): void => void child.kill("SIGKILL");
    signal.addEventListener("abort", onAbort, { once: true });
    child.once("error", reject);
    child.once("close", (code) => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) reject(signal.reason as Error);
      else if (code === 0) resolve();
      else reject(new Error(`${script} failed:\n${output.trim()}`));
    });
  });
}
