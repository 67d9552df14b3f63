import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { figureNames } from "../../worker/figures.ts";
import { bodyOfDeclared, infra, root, valueAt } from "./templates.ts";

const Item = z.object({
  type: z.number(),
  name: z.string(),
  content: z.object({ query: z.string().optional(), resourceType: z.string().optional() }).loose(),
});
const Workbook = z.object({
  version: z.literal("Notebook/1.0"),
  items: z.array(Item),
  fallbackResourceIds: z.tuple([z.literal("%WORKSPACE_ID%")]),
  $schema: z.string(),
});
const workbook = Workbook.parse(JSON.parse(readFileSync(join(infra, "workbook.json"), "utf8")));
const queries = workbook.items.flatMap(({ name, content: { query } }) => (query === undefined ? [] : [{ name, query }]));

const read = (name: string): string => readFileSync(join(root, name), "utf8");
const source = ["worker/figures.ts", "worker/telemetry.ts", "worker/task-trace.ts", "functions/telemetry.ts"].map(read).join("\n");

describe("the workbook", () => {
  test("asks only for metrics and attributes that are sent", () => {
    const asked = queries.flatMap(({ query }) => [...query.matchAll(/'(pgdms\.[\w.]+|error\.type)'/g)].map((match) => match[1] ?? ""));
    expect(asked).not.toHaveLength(0);
    expect([...new Set(asked)].filter((name) => !source.includes(`"${name}"`))).toEqual([]);
  });

  test("shows every figure of a database", () => {
    const all = queries.map(({ query }) => query).join("\n");
    expect(figureNames.filter((name) => !all.includes(`'${name}'`) && name !== "pgdms.load.tables")).toEqual([]);
    for (const name of ["pgdms.retries", "pgdms.report.age"]) expect(all).toContain(`'${name}'`);
  });

  test("is deployed with the workspace put in", () => {
    const body = bodyOfDeclared("modules/monitoring.bicep", "workbook");
    const serialized = valueAt(body, "properties", "serializedData").text;
    expect(serialized).toBe("replace(loadTextContent('../workbook.json'), '%WORKSPACE_ID%', workspace.id)");
  });

  test("gives each item a name of its own", () => {
    const names = workbook.items.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });
});

test("docs/observability.md names every metric and its unit", () => {
  const page = read("docs/observability.md");
  for (const name of [...figureNames, "pgdms.retries", "pgdms.report.age"]) expect(page).toContain(`\`${name}\``);
});
