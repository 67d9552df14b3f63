import { Meter, type Metered, type Usage } from "./meter.ts";

/** One thing that was measured once. */
export interface Sample {
  /** Wall time, or whatever the suite measures; smaller is better. */
  readonly value: number;
  /** By part: source, target, pgdms, the peer's programs. */
  readonly usage: Record<string, Usage>;
}

/** What must hold, and against whom (docs/performance.md). */
export interface Gate {
  /** The contestant that is judged. */
  readonly of: string;
  /** The best of these counts. */
  readonly against: readonly string[];
  /** Ours divided by theirs must not be more. */
  readonly ratioMax: number;
}

/** All measurements of one kind of work. */
export interface Work {
  readonly suite: string;
  readonly name: string;
  readonly unit: "s" | "ms";
  /** Contestants in the order of the table, with their samples. */
  readonly samples: Map<string, Sample[]>;
  readonly gates: readonly Gate[];
  /** What the reader must know: sizes, who is missing and why. */
  readonly notes: string[];
}

/** Puts contestants in another order in each round, so that nobody always comes first or last. */
export const rotated = <T>(list: readonly T[], round: number): T[] => list.map((_, n) => list[(n + round) % list.length] as T);

export const newWork = (suite: string, name: string, gates: readonly Gate[], notes: readonly string[] = []): Work => ({
  suite,
  name,
  unit: "s",
  samples: new Map(),
  gates,
  notes: [...notes],
});

export function addSample(work: Work, contestant: string, sample: Sample): void {
  const known = work.samples.get(contestant);
  if (known) known.push(sample);
  else work.samples.set(contestant, [sample]);
}

/** Does the work once and takes its time and what the parts use meanwhile. */
export async function measured(parts: readonly Metered[], work: () => Promise<void>): Promise<Sample> {
  const meter = new Meter(parts);
  const startedMs = performance.now();
  try {
    await work();
  } finally {
    meter.stop();
  }
  const value = (performance.now() - startedMs) / 1000;
  return { value, usage: meter.stop() };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? (sorted[middle] ?? NaN) : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

export const percentile = (values: readonly number[], part: number): number => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
};
