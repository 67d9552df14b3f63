import { relative } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take half a minute and more, the longest first. One that began last would keep the run waiting, alone. */
const longest = [
  "scenarios/ending",
  "scenarios/takeover",
  "scenarios/migrate-command",
  "scenarios/migration",
  "scenarios/schemas",
  "scenarios/choices",
  "fidelity/pitfalls",
  "portal/accessibility",
  "scenarios/environment",
  "chaos/chaos",
  "portal/page",
  "worker/schema/deferral",
  "fidelity/histories",
  "portal/tutorial",
  "worker/validation/check-migration",
  "worker/full-load/load-tables",
  "fidelity/partitions",
  "worker/source/source-watch",
  "scenarios/deployables",
  "faults/fault-walk",
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
