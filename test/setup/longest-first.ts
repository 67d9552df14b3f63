import { relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take twenty seconds and more, the longest first. One that began last would keep the run waiting, alone. */
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

/** In a fresh clone vitest knows no durations of a run before: the order would be that of the files' sizes. */
export default class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const others = await super.sort(files);
    const rank = ({ moduleId, project }: TestSpecification): number => {
      const name = relative(`${project.config.root}/test`, moduleId).replace(/\.test\.ts$/, "");
      const place = longest.indexOf(name);
      return place === -1 ? longest.length : place;
    };
    return others.toSorted((a, b) => rank(a) - rank(b));
  }
}
