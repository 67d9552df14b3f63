import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { planTask } from "../../functions/task-request.ts";
import { ApiError } from "../../functions/http/api-error.ts";
import { parsed } from "../../functions/http/validation.ts";
import { SUPPORTED_TASK_TYPES } from "../../contracts/commands.ts";
import { CommandRequest, NameCheckRequest, ProjectRequest, RestartRequest, ServiceRequest, TaskRequest } from "../../contracts/wire.ts";
import { anyText } from "../setup/any-text.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";
import {
  connectBody,
  makeService,
  migrateBody,
  project,
  projectBody,
  provider,
  restOf,
  service,
  task,
  type Rest,
} from "./fixtures/rest.ts";

let plane: Plane;
let rest: Rest;
beforeAll(async () => {
  plane = await startPlane();
  rest = restOf(plane.url);
  await makeService(rest, "dms-fuzz");
});
afterAll(() => plane.stop());

/** Values that clients, and attackers, really send. */
const odd: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e308,
  "",
  " ",
  "\u0000",
  "a/b#c?d\\e",
  "\ud800",
  "__proto__",
  "😀".repeat(40),
  [],
  {},
  [null],
  "x".repeat(70_000),
  { __proto__: 1 },
];

/** Every place of a JSON value, as a path. */
function places(value: unknown, path: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => places(inner, [...path, Array.isArray(value) ? Number(key) : key]))];
}

/** A copy of a valid body with one place replaced, removed, doubled or renamed. */
function mutation(body: unknown): fc.Arbitrary<unknown> {
  return fc
    .record({
      path: fc.constantFrom(...places(body)),
      how: fc.constantFrom("replace", "remove", "add"),
      value: fc.oneof(fc.constantFrom(...odd), fc.jsonValue()),
    })
    .map(({ path, how, value }) => {
      const copy = structuredClone(body);
      const last = path.at(-1);
      if (last === undefined) return how === "add" ? [copy] : value;
      let parent = copy as Record<string | number, unknown>;
      for (const step of path.slice(0, -1)) parent = parent[step] as Record<string | number, unknown>;
      if (how === "remove") Reflect.deleteProperty(parent, last);
      else if (how === "replace") parent[last] = value;
      else parent[`${last}x`] = value;
      return copy;
    });
}

const valid: readonly (readonly [method: string, path: string, body: unknown])[] = [
  [
    "PUT",
    service("dms-fuzz"),
    { location: "westeurope", tags: { a: "b" }, sku: { name: "Premium_4vCores" }, properties: { virtualSubnetId: "/s" } },
  ],
  [
    "PUT",
    project("dms-fuzz", "fuzzed"),
    { ...projectBody, properties: { ...projectBody.properties, databasesInfo: [{ sourceDatabaseName: "a" }] } },
  ],
  [
    "PUT",
    task("dms-fuzz", "fuzzed"),
    migrateBody([{ name: "a", selectedTables: [{ name: "public.t" }], migrationSetting: { fullLoadStreams: "4" } }], {
      clientData: { a: "b" },
    }),
  ],
  ["PUT", task("dms-fuzz", "connect"), connectBody()],
  ["PATCH", task("dms-fuzz", "connect"), { properties: { clientData: { a: "b" }, taskType: "ConnectToSource.PostgreSql.Sync" } }],
  [
    "POST",
    `${task("dms-fuzz", "fuzzed")}/command`,
    { commandType: "Migrate.Sync.Complete.Database", input: { databaseName: "a", commitTimeStamp: "2026-01-01T00:00:00Z" } },
  ],
  ["POST", `${provider}/locations/westeurope/checkNameAvailability`, { name: "a-name", type: "services" }],
];

test("500 mutations of valid bodies never fail the control plane", async () => {
  const request = fc.constantFrom(...valid).chain(([method, path, body]) => mutation(body).map((mutated) => ({ method, path, mutated })));
  await fc.assert(
    fc.asyncProperty(request, async ({ method, path, mutated }) => {
      const reply = await rest.send(method, path, JSON.stringify(mutated) ?? "");
      expect(reply.status, reply.text).toBeLessThan(500);
      if (reply.status >= 400) expect(reply.body).toHaveProperty("error.code");
    }),
    { numRuns: 500 },
  );
});

test("odd names and queries never fail the control plane", async () => {
  const text = fc.oneof(fc.string(), anyText(), fc.constantFrom(..."%00 %2F .. # ? ' \" \\".split(" ")));
  await fc.assert(
    fc.asyncProperty(text, text, text, async (a, b, query) => {
      const segment = (name: string): string => encodeURIComponent(Buffer.from(name).toString()) || "-";
      for (const path of [service(segment(a)), task(segment(a), segment(b)), `${project("dms-fuzz")}/tasks`]) {
        const reply = await fetch(
          `${plane.url}${path}?api-version=2018-07-15-preview&$skipToken=${segment(query)}&taskType=${segment(query)}&$expand=${segment(query)}`,
        );
        expect(reply.status, await reply.text()).toBeLessThan(500);
      }
    }),
    { numRuns: 100 },
  );
});

test("whatever JSON comes, the schemas answer it or refuse it by name", () => {
  const schemas = [ServiceRequest, ProjectRequest, TaskRequest, CommandRequest, RestartRequest, NameCheckRequest];
  fc.assert(
    fc.property(fc.jsonValue(), fc.constantFrom(...schemas), fc.constantFrom(...SUPPORTED_TASK_TYPES), (value, schema, taskType) => {
      for (const parse of [() => parsed(schema, value), () => planTask(taskType, value)]) {
        try {
          parse();
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          expect(error.details.length).toBeGreaterThan(0);
        }
      }
    }),
  );
});
