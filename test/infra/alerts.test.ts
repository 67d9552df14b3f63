import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DatabaseProgress } from "../../contracts/reports.ts";
import { nodesOfType, parts } from "../../scripts/bicep-lint/bicep-file.ts";
import { infra, parsedTemplate, root } from "./templates.ts";

const queries = readdirSync(join(infra, "queries")).map((name) => ({ name, text: readFileSync(join(infra, "queries", name), "utf8") }));

describe("the queries of the alerts", () => {
  test("ask only for what a record of the worker's log holds", () => {
    const known = new Set(["event", "taskId", "outcome", ...Object.keys(DatabaseProgress.shape)]);
    for (const { name, text } of queries) {
      const asked = [...text.matchAll(/\brecord\.(\w+)/g)].map((match) => match[1] ?? "");
      expect(asked, name).not.toHaveLength(0);
      expect(
        asked.filter((field) => !known.has(field)),
        name,
      ).toEqual([]);
    }
  });

  test("name the event by which the worker tells of a task's end", () => {
    const taskRun = readFileSync(join(root, "worker/task-run.ts"), "utf8");
    expect(taskRun).toContain('event: "task.ended", outcome: event');
    expect(queries.find(({ name }) => name === "task-failed.kql")?.text).toContain('"task.ended"');
  });

  test("give the columns that their rules split and measure by", () => {
    for (const { name, text } of queries) expect(text, name).toMatch(/\| project TimeGenerated, Task\b/);
    for (const name of ["wal-held.kql", "lag.kql"])
      expect(queries.find((query) => query.name === name)?.text).toMatch(/Database, Value = /);
  });
});

test("operations.md answers every alert by its name", () => {
  const operations = readFileSync(join(root, "docs/operations.md"), "utf8");
  const names = nodesOfType(parsedTemplate("modules/alerts.bicep").root, "object_property")
    .filter((property) => parts(property)[0]?.text === "name")
    .flatMap((property) => /^'(pgdms [\w ]+?)(?: \$\{index\})?'$/.exec(parts(property)[1]?.text ?? "")?.[1] ?? []);
  expect([...new Set(names)]).toHaveLength(7);
  for (const name of names) expect(operations).toContain(`### ${name}`);
});
