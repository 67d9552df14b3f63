import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { stripVTControlCharacters } from "node:util";

export const root = dirname(dirname(import.meta.dirname));
const waitMsMax = 100_000;

/** One of the commands that people start, as a process of its own with a folder of its own. */
export class Command {
  readonly folder: string;
  readonly #mark = randomUUID();
  readonly #child: ChildProcess;
  readonly #exited: Promise<number>;
  #output = "";

  constructor(script: "start" | "demo" | "migrate", args: readonly string[], folder = Command.makeFolder(), checkout = root) {
    this.folder = folder;
    if (script === "demo") shareCompilerCache(folder);
    this.#child = spawn(process.execPath, ["--import", "tsx", `local/${script}.ts`, ...args], {
      cwd: checkout,
      // The mark is inherited by all that it starts. The demo's servers drop their environment, but have the folder in their
      // arguments.
      env: { ...process.env, PGDMS_TEST_MARK: this.#mark, NO_COLOR: "1", ...(script === "demo" ? { TMPDIR: folder } : {}) },
      stdio: ["pipe", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (text: Buffer) => (this.#output += stripVTControlCharacters(text.toString())));
    this.#exited = new Promise((resolve) => this.#child.once("close", (code, signal) => resolve(code ?? (signal ? -1 : 0))));
  }

  /** A temporary folder that servers can use which run as another user. */
  static makeFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), "pgdms-command-"));
    chmodSync(folder, 0o755);
    return folder;
  }

  get output(): string {
    return this.#output;
  }

  /** Resolves with the exit code; -1 when a signal ended it. */
  get exited(): Promise<number> {
    return this.#exited;
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Waits until the output matches; fails when the command ends before. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    const deadline = Date.now() + waitMsMax;
    let isOver = false;
    void this.#exited.then(() => (isOver = true));
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found) return found;
      if (isOver || Date.now() > deadline) throw new Error(`never said ${pattern.source}:\n${this.#output}`);
      await sleep(20);
    }
  }

  /** Everything that it started and that still runs, itself included: `pid command`. */
  processes(): { pid: number; command: string }[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .map((name) => ({ pid: Number(name), command: read(`/proc/${name}/cmdline`), environment: read(`/proc/${name}/environ`) }))
      .filter(({ command, environment }) => command.includes(this.folder) || environment.includes(this.#mark))
      .map(({ pid, command }) => ({ pid, command: command.replaceAll("\0", " ").slice(0, 200) }));
  }

  /** Waits until nothing of it runs; the guards of its servers need a moment after it. Answers what is left after that. */
  async leaves(): Promise<{ pid: number; command: string }[]> {
    const deadline = Date.now() + 20_000;
    for (;;) {
      const left = this.processes();
      if (left.length === 0 || Date.now() > deadline) return left;
      await sleep(50);
    }
  }

  /** For the end of a test, however it went. */
  async cleanUp(): Promise<void> {
    for (const { pid } of this.processes()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // it has ended meanwhile
      }
    }
    await this.leaves();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** For a command whose temporary folder is another: what tsx compiled before is found there as well. */
function shareCompilerCache(folder: string): void {
  const name = `tsx-${userInfo().uid}`;
  mkdirSync(join(tmpdir(), name), { recursive: true });
  symlinkSync(join(tmpdir(), name), join(folder, name));
}

/** Empty when the process is gone. */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
