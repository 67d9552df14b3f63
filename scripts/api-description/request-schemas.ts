import { z } from "zod";
import { ConnectionInfo } from "../../contracts/connection.ts";
import {
  CommandRequest,
  NameCheckRequest,
  ProjectPatch,
  ProjectRequest,
  RestartRequest,
  ServicePatch,
  ServiceRequest,
  TaskInputs,
  TaskPatch,
  TaskRequest,
} from "../../contracts/wire.ts";

export type JsonSchema = Record<string, unknown>;

const requests = {
  ConnectionInfo,
  CommandRequest,
  NameCheckRequest,
  ProjectPatch,
  ProjectRequest,
  RestartRequest,
  ServicePatch,
  ServiceRequest,
  TaskPatch,
  TaskRequest,
};

/** Name of the schema of one task type's input. */
const inputName = (taskType: string): string => `${taskType.replaceAll(".", "_")}_Input`;

/** The schemas of all request bodies, by name, for a document that has them at `#/components/schemas`. */
export function requestSchemas(): Record<string, JsonSchema> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(requests)) registry.add(schema, { id });
  for (const [taskType, schema] of Object.entries(TaskInputs)) registry.add(schema, { id: inputName(taskType) });
  const { schemas } = z.toJSONSchema(registry, { ...options, uri: (id) => `#/components/schemas/${id}` });
  const named = Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, withoutHeader(schema as JsonSchema)]));
  return { ...named, TaskRequest: { ...named["TaskRequest"], anyOf: taskRequests() } };
}

/** Which input belongs to which task type. */
const taskRequests = (): JsonSchema[] =>
  Object.keys(TaskInputs).map((taskType) => ({
    title: taskType,
    type: "object",
    required: ["properties"],
    properties: {
      properties: {
        type: "object",
        required: ["taskType", "input"],
        properties: { taskType: { const: taskType }, input: { $ref: `#/components/schemas/${inputName(taskType)}` } },
      },
    },
  }));

/** Of a schema that stands alone. */
export const schemaOf = (schema: z.ZodType): JsonSchema => z.toJSONSchema(schema, options);

const options = {
  io: "input",
  unrepresentable: "any",
  override: ({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: JsonSchema }) => {
    const { def } = zodSchema._zod;
    // Text that is compared without regard to case, then is one of a list: the list is what a reader wants to see.
    if (def.type === "pipe" && def.out._zod.def.type === "enum") {
      Object.assign(jsonSchema, { type: "string", enum: Object.values((def.out as z.core.$ZodEnum)._zod.def.entries) });
    }
    if (def.type === "number" && "coerce" in def && def.coerce) Object.assign(jsonSchema, { type: ["integer", "string"] });
  },
} as const satisfies Parameters<typeof z.toJSONSchema>[1];

function withoutHeader({ $schema: _schema, $id: _id, id: _name, ...schema }: JsonSchema): JsonSchema {
  return schema;
}
