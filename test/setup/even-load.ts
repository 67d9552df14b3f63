import { relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take twenty seconds and more, the longest first: one that began last would keep the run waiting, alone. */
const longest = [
  "scenarios/ending",
  "scenarios/migrate-command",
  "scenarios/schemas",
  "scenarios/migration",
  "scenarios/takeover",
  "portal/accessibility",
  "fidelity/pitfalls",
  "portal/tutorial",
  "scenarios/choices",
  "worker/full-load/load-tables",
  "worker/source/source-watch",
  "worker/incremental-sync/sql-backlog",
  "scenarios/environment",
  "fidelity/histories",
  "faults/fault-walk",
  "worker/validation/check-migration",
  "worker/incremental-sync/source-changes",
  "portal/page",
  "scenarios/deployables",
  "scenarios/refusals",
  "worker/schema/deferral",
  "worker/incremental-sync/reload",
  "chaos/chaos",
  "scenarios/sdk",
  "functions/tasks",
  "scenarios/before-10",
  "worker/schema/deferral-walk",
  "scenarios/tables-in-trouble",
  "fidelity/several-snapshots",
  "scenarios/telemetry",
];

/** Short files between two long ones: few enough that all long ones have begun when two thirds of the run are over. */
const BETWEEN = 2;

/**
 * Long files work the machine to its limit, short ones mostly wait for a server: a run of both at a time takes less than the long
 * ones first and the short ones then. In a fresh clone vitest knows no durations of a run before, and would go by the files' sizes.
 */
export default class EvenLoad extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const known = files.filter((file) => rankOf(file) >= 0).toSorted((a, b) => rankOf(a) - rankOf(b));
    const others = await super.sort(files.filter((file) => rankOf(file) < 0));
    return [
      ...known.flatMap((file, n) => [file, ...others.slice(n * BETWEEN, (n + 1) * BETWEEN)]),
      ...others.slice(known.length * BETWEEN),
    ];
  }
}

const rankOf = ({ moduleId, project }: TestSpecification): number =>
  longest.indexOf(relative(`${project.config.root}/test`, moduleId).replace(/\.test\.ts$/, ""));
