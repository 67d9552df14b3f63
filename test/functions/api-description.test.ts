import { readFileSync } from "node:fs";
import asyncapiSpecs from "@asyncapi/specs";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv, type ValidateFunction } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { type Task } from "../../contracts/wire.ts";
import { type ControlPlane } from "../../functions/control-plane.ts";
import { endpointsOf } from "../../functions/endpoints.ts";
import { PgdmsEvent } from "../../functions/events/event.ts";
import { isUnused, operations } from "../../scripts/api-description/operations.ts";
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
  services,
  task,
  until,
} from "./fixtures/rest.ts";
import { type Rest } from "./fixtures/rest.ts";
import { database, startWorker, table, type FakeWorker } from "./fixtures/worker.ts";

interface Operation {
  readonly operationId: string;
  readonly requestBody?: unknown;
  readonly responses: Readonly<Record<string, { readonly content?: unknown }>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const text = readFileSync("docs/openapi.json", "utf8");
const document = JSON.parse(text) as Document;

let plane: Plane;
let rest: Rest;
let worker: FakeWorker;
beforeAll(async () => {
  plane = await startPlane();
  rest = restOf(plane.url);
  worker = startWorker(plane.serviceBus);
}, 150_000);
afterAll(async () => {
  await worker.close();
  await plane.stop();
});

test("the document is OpenAPI 3.1, as its own schema has it", async () => {
  const validator = new Validator();
  expect(await validator.validate(text)).toEqual({ valid: true });
  expect(validator.version).toBe("3.1");
});

test("it is served as it is in docs/", async () => {
  const reply = await fetch(`${plane.url}/openapi.json`);
  expect(reply.status).toBe(200);
  expect(reply.headers.get("content-type")).toContain("application/json");
  expect(await reply.json()).toEqual(document);
});

test("it has every route of the API, with its method and its name, and no other", () => {
  const routed = endpointsOf({} as ControlPlane)
    .filter(({ name }) => !isUnused(name))
    .map(({ name, method, route }) => `${method} /${route} ${name}`);
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { operationId }]) => `${method.toUpperCase()} ${path} ${operationId}`),
  );
  expect(described.sort()).toEqual(routed.sort());
});

test("answers of a running control plane are as the document has them", async () => {
  await makeService(rest, "dms-described");
  const at = task("dms-described", "mig");
  const made = await rest.put<Task>(at, migrateBody([{ name: "listdb" }], { clientData: { a: "b" } }));
  const { taskId } = made.body.properties;
  await worker.report(taskId, 1, [
    { kind: "task", event: "started", errors: [] },
    {
      kind: "migration",
      sourceServerVersion: "12",
      targetServerVersion: "16",
      startedOn: "2026-03-01T10:05:10Z",
      endedOn: null,
      databaseCount: 1,
    },
    database({ state: "READY_TO_COMPLETE" }),
    table("users", { error: { code: "PG1213", severity: "error", message: "It was refused.", sqlState: "23514" } }),
    {
      kind: "finding",
      subject: "",
      error: { code: "PG1146", severity: "warning", message: "m" },
      since: "2026-03-01T10:05:10Z",
      resolved: false,
    },
  ]);
  await until(async () => (await rest.get<Task>(at)).body.properties.state === "Running", "Running");
  const command = { commandType: "Migrate.Sync.Complete.Database", input: { databaseName: "listdb" } };
  await rest.put(task("dms-described", "connect"), connectBody());
  const calls: readonly (readonly [operationId: string, method: string, path: string, body?: unknown])[] = [
    ["services-get", "GET", service("dms-described")],
    ["services-put", "PUT", service("dms-described"), { location: "westeurope", tags: { a: "b" } }],
    ["services-list-by-group", "GET", services],
    ["services-check-status", "POST", `${service("dms-described")}/checkStatus`],
    ["services-skus", "GET", `${service("dms-described")}/skus`],
    ["skus-list", "GET", `${provider}/skus`],
    ["usages-list", "GET", `${provider}/locations/westeurope/usages`],
    ["operations-list", "GET", "/providers/Microsoft.DataMigration/operations"],
    ["name-check-service", "POST", `${provider}/locations/westeurope/checkNameAvailability`, { name: "x1", type: "services" }],
    ["projects-get", "GET", project("dms-described")],
    ["projects-put", "PUT", project("dms-described", "other"), projectBody],
    ["projects-list", "GET", `${service("dms-described")}/projects`],
    ["tasks-get", "GET", `${at}?$expand=output,command`],
    ["tasks-get", "GET", `${task("dms-described", "connect")}?$expand=output`],
    ["tasks-command", "POST", `${at}/command`, command],
    ["tasks-list", "GET", `${project("dms-described")}/tasks`],
    ["tasks-cancel", "POST", `${at}/cancel`],
    ["tasks-delete", "DELETE", at],
    ["tasks-delete", "DELETE", `${at}?deleteRunningTasks=true`],
    ["services-stop", "POST", `${service("dms-described")}/stop`],
    ["services-start", "POST", `${service("dms-described")}/start`],
    ["tasks-get", "GET", task("dms-described", "nowhere")],
    ["tasks-put", "PUT", task("dms-described", "bad"), { properties: {} }],
    ["health", "GET", "/health"],
  ];
  for (const [operationId, method, path, body] of calls) {
    const reply = await rest.send(method, path, body);
    const { path: pointer, operation } = find(operationId);
    const status = reply.status in operation.responses ? String(reply.status) : "default";
    const isValid = schemaAt(`${pointer}/responses/${status}`);
    expect(
      isValid(reply.body),
      `${operationId} ${reply.status}: ${JSON.stringify(isValid.errors?.slice(0, 3))} ${reply.text.slice(0, 500)}`,
    ).toBe(true);
  }
});

test("bodies that the API takes are bodies that the document allows, and it names what is wrong with others", () => {
  const task = schemaAt(`${find("tasks-put").path}/requestBody`);
  for (const body of [migrateBody(), connectBody(), migrateBody([{ name: "a", targetDatabaseName: null, migrationSetting: null }])])
    expect(task(body), JSON.stringify(task.errors)).toBe(true);
  for (const body of [{}, { properties: { taskType: "Migrate.Oracle" } }, migrateBody([]), connectBody({ port: -1 })])
    expect(task(body)).toBe(false);
  const service = schemaAt(`${find("services-put").path}/requestBody`);
  expect(service({ location: "westeurope", sku: { name: "Premium_4vCores" } })).toBe(true);
  expect(service({ location: "westeurope", sku: { name: "Huge" } })).toBe(false);
});

test("every operation that is described says what it is", () => {
  for (const [name, { summary }] of Object.entries(operations)) expect(summary, name).toMatch(/^[A-Z]/);
});

test("the description of the messages is AsyncAPI 3.0, and its schemas are JSON Schema", () => {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, logger: false });
  const asyncapi = parse(readFileSync("docs/asyncapi.yaml", "utf8")) as Record<string, unknown>;
  const isValid = ajv.compile(asyncapiSpecs.schemasWithoutId["3.0.0"] as object);
  expect(isValid(asyncapi), JSON.stringify(isValid.errors?.slice(0, 3))).toBe(true);
  const payloads = [...JSON.stringify(asyncapi).matchAll(/"\.\/(schemas\/[\w.-]+)"/g)].map((match) => match[1] ?? "");
  expect(payloads.sort()).toEqual(["schemas/event.json", "schemas/reply.json", "schemas/request.json"]);
  const compiler = new Ajv2020({ strict: false, validateFormats: false });
  const validators = payloads.map((file) => compiler.compile(JSON.parse(readFileSync(`docs/${file}`, "utf8")) as object));
  const [event] = validators;
  expect(event?.({ specversion: "1.0" })).toBe(false);
  const description = JSON.stringify(asyncapi);
  for (const { shape } of PgdmsEvent.options) expect(description).toContain(shape.type.value);
});

const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(document, "openapi");

const pointer = (part: string): string => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1"));

function find(operationId: string): { path: string; operation: Operation } {
  for (const [path, methods] of Object.entries(document.paths))
    for (const [method, operation] of Object.entries(methods))
      if (operation.operationId === operationId) return { path: `/paths/${pointer(path)}/${method}`, operation };
  throw new Error(`${operationId} is not described`);
}

const isNothing = Object.assign((body: unknown): boolean => body === undefined, { errors: undefined });

/** What a body must be; where none is described, none may come. */
function schemaAt(path: string): ValidateFunction | typeof isNothing {
  const at = decodeURIComponent(path).split("/").slice(1);
  const place = at.reduce<unknown>(
    (value, key) => (value as Record<string, unknown>)[key.replaceAll("~1", "/").replaceAll("~0", "~")],
    document,
  );
  if (typeof place === "object" && place !== null && "content" in place)
    return ajv.compile({ $ref: `openapi#${path}/content/${pointer("application/json")}/schema` });
  return isNothing;
}
