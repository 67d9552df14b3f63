import { arch, cpus, totalmem } from "node:os";
import { type Usage } from "./meter.ts";
import { type Gate, median, type Sample, type Work } from "./run.ts";

/** Whether a gate held, in numbers. */
interface Verdict {
  readonly gate: Gate;
  readonly ratio: number;
  readonly holds: boolean;
}

const medianOf = (work: Work, contestant: string): number | undefined => {
  const samples = work.samples.get(contestant);
  return samples && median(samples.map(({ value }) => value));
};

/** Ours against the best of theirs that took part; without any, against nothing: the value itself. */
function verdictOf(work: Work, gate: Gate): Verdict | undefined {
  const ours = medianOf(work, gate.of);
  if (ours === undefined) return undefined;
  const theirs = gate.against.flatMap((name) => medianOf(work, name) ?? []);
  if (gate.against.length > 0 && theirs.length === 0) return undefined;
  const ratio = gate.against.length === 0 ? ours : ours / Math.min(...theirs);
  return { gate, ratio, holds: ratio <= gate.ratioMax };
}

/** One line for each contestant of each work: median, spread, ratio to ours, CPU seconds and memory of each part. */
export function tableOf(works: readonly Work[]): string {
  const lines = works.flatMap((work) => {
    const ours = medianOf(work, "pgdms");
    const rows = [...work.samples].map(([name, samples]) => rowOf(work, name, samples, ours));
    const verdicts = work.gates.map((gate) => `  ${sayGate(gate, verdictOf(work, gate))}`);
    return ["", `${work.name}  (${work.notes[0] ?? ""})`, ...rows, ...verdicts];
  });
  return lines.join("\n");
}

function rowOf(work: Work, name: string, samples: readonly Sample[], ours: number | undefined): string {
  const values = samples.map(({ value }) => value);
  const middle = median(values);
  const ratio = ours === undefined || name === "pgdms" ? "" : `${(middle / ours).toFixed(2)}x ours`;
  const spread = `${Math.min(...values).toFixed(2)}-${Math.max(...values).toFixed(2)}`;
  const usage = Object.keys(samples[0]?.usage ?? {}).map((part) => sayUsage(part, samples));
  return `  ${name.padEnd(30)} ${middle.toFixed(2).padStart(8)} ${work.unit}  ${spread.padEnd(14)} ${ratio.padEnd(11)} ${usage.join("   ")}`;
}

function sayUsage(part: string, samples: readonly Sample[]): string {
  const all: Usage[] = samples.flatMap(({ usage }) => usage[part] ?? []);
  const cpu = median(all.map(({ cpuSeconds }) => cpuSeconds)).toFixed(1);
  return `${part} ${cpu} s ${Math.max(...all.map(({ peakMB }) => peakMB))} MB`;
}

function sayGate(gate: Gate, verdict: Verdict | undefined): string {
  const against = gate.against.length === 0 ? "" : ` of the best of: ${gate.against.join(", ")}`;
  const found = verdict ? `${verdict.holds ? "held" : "MISSED"}: ${verdict.ratio.toFixed(2)}` : "NOT MEASURED: nothing to compare with";
  return `gate ${found}, at most ${gate.ratioMax.toFixed(2)}${against}`;
}

/** Everything that was measured, for programs. */
export const recordOf = (works: readonly Work[], facts: Record<string, unknown>): object => ({
  ...facts,
  machine: {
    cores: cpus().length,
    model: cpus()[0]?.model ?? "",
    architecture: arch(),
    memoryMB: Math.round(totalmem() / 1_048_576),
    node: process.version,
  },
  works: works.map((work) => ({
    suite: work.suite,
    name: work.name,
    unit: work.unit,
    notes: work.notes,
    contestants: [...work.samples].map(([name, samples]) => ({ name, median: median(samples.map(({ value }) => value)), samples })),
    gates: work.gates.flatMap((gate) => verdictOf(work, gate) ?? []),
  })),
});

/** What came of all gates together, in a sentence. */
export function sayGates(works: readonly Work[]): string {
  const verdicts = works.flatMap((work) => work.gates.map((gate) => verdictOf(work, gate)));
  const missed = verdicts.filter((verdict) => verdict?.holds === false).length;
  const unmeasured = verdicts.filter((verdict) => verdict === undefined).length;
  const held = verdicts.length - missed - unmeasured;
  if (verdicts.length === 0) return "Nothing was measured that has a gate.";
  if (held === verdicts.length) return "Every gate held.";
  return `Of ${verdicts.length} gates ${held} held, ${missed} were missed, and ${unmeasured} were not measured.`;
}
