import { API_VERSIONS, DEFAULT_API_VERSION } from "../../contracts/wire.ts";
import { type Endpoint } from "../../functions/http/endpoint.ts";
import { answerSchemas } from "./answer-schemas.ts";
import { isUnused, operations, type OperationDescription, type QueryParameter } from "./operations.ts";
import { requestSchemas, type JsonSchema } from "./request-schemas.ts";

/**
 * The description of the REST API: routes from the functions, bodies from contracts/.
 * @throws Error when a route is not described, or what is described has no route or no schema
 */
export function openApiDocument(root: string, endpoints: readonly Endpoint[]): JsonSchema {
  const described = endpoints.filter(({ name }) => !isUnused(name));
  const schemas = { ...answerSchemas(root), ...requestSchemas() };
  const paths: Record<string, Record<string, JsonSchema>> = {};
  for (const endpoint of described) {
    const operation = operations[endpoint.name];
    if (operation === undefined) throw new Error(`${endpoint.name} is not described in scripts/api-description/operations.ts`);
    for (const name of namesOf(operation)) if (!(name in schemas)) throw new Error(`${endpoint.name}: there is no schema ${name}`);
    (paths[`/${endpoint.route}`] ??= {})[endpoint.method.toLowerCase()] = operationOf(endpoint, operation);
  }
  const routed = new Set(described.map(({ name }) => name));
  for (const name of Object.keys(operations)) if (!routed.has(name)) throw new Error(`${name} is described and has no route`);
  return {
    openapi: "3.1.0",
    info: {
      title: "pgdms",
      version: DEFAULT_API_VERSION,
      description:
        "Moves live PostgreSQL databases to Azure Database for PostgreSQL. The resources and bodies are those of the classic Microsoft.DataMigration provider; fields that only pgdms has are additions that its clients pass through.",
      license: { name: "MIT", identifier: "MIT" },
    },
    servers: [{ url: "/", description: "The function app that serves this document" }],
    security: [{ entra: [] }],
    tags: ["Services", "Projects", "Tasks", "Provider"].map((name) => ({ name })),
    paths,
    components: {
      schemas,
      securitySchemes: {
        entra: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: "A token of Microsoft Entra ID. Roles: Migration.Read, Migration.Write.",
        },
      },
    },
  };
}

const namesOf = ({ request, answers }: OperationDescription): string[] =>
  [...[request].flat(), ...Object.values(answers).map((answer) => (typeof answer === "string" ? answer : answer?.[0]))].filter(
    (name) => name !== undefined,
  );

const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });

const requestBody = (names: string | readonly string[]): JsonSchema => (typeof names === "string" ? ref(names) : { anyOf: names.map(ref) });

const json = (schema: JsonSchema): JsonSchema => ({ "application/json": { schema } });

function operationOf(endpoint: Endpoint, { summary, group, request, answers, query = [] }: OperationDescription): JsonSchema {
  const responses = Object.entries(answers).map(([status, answer]) => [
    status,
    { description: descriptions[status] ?? "Done", ...(answer === null ? {} : { content: json(bodyOf(answer)) }) },
  ]);
  const isOpen = endpoint.right === "anyone";
  return {
    operationId: endpoint.name,
    tags: [group],
    summary,
    ...(isOpen ? { security: [] } : { description: `Needs the right ${rightOf(endpoint)}.` }),
    parameters: [
      ...pathParameters(endpoint.route),
      ...versionParameter(endpoint),
      ...query.map(queryParameter),
      ...preconditions(endpoint),
    ],
    ...(request === undefined ? {} : { requestBody: { required: true, content: json(requestBody(request)) } }),
    responses: {
      ...Object.fromEntries(responses),
      ...(isOpen ? {} : { default: { description: "Refused, or failed", content: json(ref("ErrorBody")) } }),
    },
  };
}

const rightOf = ({ right, method }: Endpoint): string => right ?? (method === "GET" ? "Migration.Read" : "Migration.Write");

const descriptions: Readonly<Record<string, string>> = {
  200: "Done",
  201: "Made",
  202: "Done; Azure-AsyncOperation leads to how it ended",
  204: "There is no such resource",
  503: "It cannot",
};

const bodyOf = (answer: string | readonly [string]): JsonSchema =>
  typeof answer === "string"
    ? ref(answer)
    : {
        type: "object",
        required: ["value"],
        properties: {
          value: { type: "array", items: ref(answer[0]) },
          nextLink: { type: "string", format: "uri", description: "Leads to the next page; missing at the end." },
        },
      };

const pathParameters = (route: string): JsonSchema[] =>
  [...route.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({ name, in: "path", required: true, schema: { type: "string" } }));

const versionParameter = ({ needsApiVersion }: Endpoint): JsonSchema[] =>
  needsApiVersion === false
    ? []
    : [{ name: "api-version", in: "query", required: true, schema: { enum: [...API_VERSIONS] }, example: DEFAULT_API_VERSION }];

const queries: Readonly<Record<QueryParameter, { description: string; schema: JsonSchema }>> = {
  $expand: { description: "What to show beside the task", schema: { enum: ["output", "command", "output,command"] } },
  taskType: { description: "Tasks of this type only", schema: { type: "string" } },
  deleteRunningTasks: { description: "Cancels what runs, then deletes", schema: { type: "boolean" } },
  $skipToken: { description: "Where a page begins; part of nextLink", schema: { type: "string" } },
};

const queryParameter = (name: QueryParameter): JsonSchema => ({ name, in: "query", ...queries[name] });

/** Reading needs none. */
const preconditions = ({ method, name }: Endpoint): JsonSchema[] =>
  ["PUT", "PATCH", "DELETE"].includes(method) || ["tasks-cancel", "tasks-command", "services-start", "services-stop"].includes(name)
    ? ["If-Match", "If-None-Match"].map((header) => ({ name: header, in: "header", schema: { type: "string" } }))
    : [];
