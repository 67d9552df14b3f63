import { readFileSync, writeFileSync } from "node:fs";

/** What the processes of one part of a run used. */
export interface Usage {
  readonly cpuSeconds: number;
  /** Most memory of its own at any one moment, all its processes together (servers: without shared buffers). */
  readonly peakMB: number;
}

/** Clock ticks a second (USER_HZ), the same on every Linux that Node runs on. */
export const TICKS_PER_SECOND = 100;
const SAMPLE_INTERVAL_MS = 200;

interface ProcessStat {
  readonly cpuTicks: number;
  /** Of children that have ended and were waited for. */
  readonly childTicks: number;
}

/** Fields of /proc/<pid>/stat (proc(5)); undefined when the process is gone. */
function statOf(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const at = (field: number): number => Number(fields[field - 3]);
    return { cpuTicks: at(14) + at(15), childTicks: at(16) + at(17) };
  } catch {
    return undefined;
  }
}

/** As the kernel lists them for the first thread, which starts them all here (proc_pid_task(5)); looking through all processes would cost what is measured. */
function childrenOf(pid: number): number[] {
  try {
    return (readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").match(/\d+/g) ?? []).map(Number);
  } catch {
    return []; // it is gone
  }
}

function memoryMB(pid: number, field: "RssAnon" | "VmRSS"): number {
  try {
    const found = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return Number(found?.[1] ?? 0) / 1024;
  } catch {
    return 0;
  }
}

/** Something whose CPU time and memory are taken: all counters only rise. */
export interface Metered {
  readonly name: string;
  readonly ticks: () => number;
  readonly memoryMB: () => number;
}

/** A cluster: its postmaster, its live processes, and those that have ended. */
export const cluster = (name: string, postmaster: number): Metered => ({
  name,
  ticks: () => {
    const own = statOf(postmaster);
    const live = childrenOf(postmaster).reduce((sum, pid) => sum + (statOf(pid)?.cpuTicks ?? 0), 0);
    return (own?.cpuTicks ?? 0) + (own?.childTicks ?? 0) + live;
  },
  memoryMB: () => childrenOf(postmaster).reduce((sum, pid) => sum + memoryMB(pid, "RssAnon"), 0),
});

/** Processes that are looked up at each look, since one may be started anew in the middle: the worker. */
export const processesOf = (name: string, pids: () => readonly number[]): Metered => ({
  name,
  ticks: () => pids().reduce((sum, pid) => sum + (statOf(pid)?.cpuTicks ?? 0), 0),
  memoryMB: () => pids().reduce((sum, pid) => sum + memoryMB(pid, "VmRSS"), 0),
});

/** Programs that the bench starts for a peer, and their children. */
export const programs = (name: string): Metered & { watch(pid: number): void } => {
  let roots: number[] = [];
  const tree = (pid: number): number[] => [pid, ...childrenOf(pid).flatMap(tree)];
  return {
    name,
    watch: (pid) => (roots = [...roots, pid]),
    ticks: () => statOf(process.pid)?.childTicks ?? 0,
    memoryMB: () => roots.flatMap(tree).reduce((sum, pid) => sum + memoryMB(pid, "VmRSS"), 0),
  };
};

/** Takes what several parts use from now until stop(). */
export class Meter {
  readonly #parts: readonly { readonly metered: Metered; readonly ticks: number; peakMB: number }[];
  readonly #timer: NodeJS.Timeout;

  constructor(metered: readonly Metered[]) {
    this.#parts = metered.map((each) => ({ metered: each, ticks: each.ticks(), peakMB: 0 }));
    this.#sample();
    this.#timer = setInterval(() => this.#sample(), SAMPLE_INTERVAL_MS);
  }

  stop(): Record<string, Usage> {
    clearInterval(this.#timer);
    this.#sample();
    return Object.fromEntries(
      this.#parts.map(({ metered, ticks, peakMB }) => [
        metered.name,
        { cpuSeconds: (metered.ticks() - ticks) / TICKS_PER_SECOND, peakMB: Math.round(peakMB) },
      ]),
    );
  }

  #sample(): void {
    for (const part of this.#parts) part.peakMB = Math.max(part.peakMB, part.metered.memoryMB());
  }
}

/** Forgets the highest memory of a process so far (proc(5), clear_refs); then VmHWM tells that of what follows. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** The highest memory of a process, as the kernel kept it: no sample can miss it. */
export function peakMB(pid: number): number {
  const found = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Math.round(Number(found?.[1] ?? 0) / 1024);
}
