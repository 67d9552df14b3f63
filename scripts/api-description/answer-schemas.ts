import { join } from "node:path";
import ts from "typescript";
import { buildGenerator, type Definition } from "typescript-json-schema";
import { type JsonSchema } from "./request-schemas.ts";

/** Types of contracts/wire.ts that are bodies of answers. */
const answers = ["Service", "ServiceStatus", "Project", "Task", "CommandView", "NameCheck", "OperationStatus", "ErrorBody"] as const;

/** Answers that clients rarely look at have no type in contracts/. */
const loose: Readonly<Record<string, JsonSchema>> = {
  AvailableSku: { type: "object", properties: { resourceType: { type: "string" }, sku: { type: "object" }, capacity: { type: "object" } } },
  ResourceSku: { type: "object", properties: { name: { type: "string" }, tier: { type: "string" }, size: { type: "string" } } },
  ProviderOperation: { type: "object", properties: { name: { type: "string" }, display: { type: "object" } } },
  Usage: { type: "object", properties: { currentValue: { type: "integer" }, limit: { type: "integer" }, unit: { type: "string" } } },
  Health: {
    type: "object",
    required: ["status"],
    properties: { status: { enum: ["Healthy", "Unhealthy"] }, reason: { type: "string" } },
  },
};

/**
 * The schemas of all answers, by name, made from their TypeScript types.
 * @throws Error when a type is gone or cannot be described
 */
export function answerSchemas(root: string): Record<string, JsonSchema> {
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.Preserve,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    types: [],
  };
  const program = ts.createProgram([join(root, "contracts/wire.ts")], options);
  const generator = buildGenerator(program, { required: true, strictNullChecks: true, ignoreErrors: true });
  if (generator === null) throw new Error("contracts/wire.ts cannot be described: do its types compile?");
  const schemas: Record<string, JsonSchema> = { ...loose, StringMap: { type: "object", additionalProperties: { type: "string" } } };
  for (const name of answers) {
    const { definitions = {}, $schema: _schema, ...schema } = generator.getSchemaForSymbol(name) as Definition & JsonSchema;
    for (const [inner, definition] of Object.entries({ ...definitions, [name]: schema }))
      if (isName(inner)) schemas[inner] = linked(definition, definitions) as JsonSchema;
  }
  return schemas;
}

/** Types without a name of their own are called by all that they hold. */
const isName = (definition: string): boolean => /^\w+$/.test(definition);

/** References lead to where the document has its schemas; types without a name stand where they are used. */
function linked(value: unknown, definitions: Readonly<Record<string, unknown>>): unknown {
  if (Array.isArray(value)) return value.map((inner) => linked(inner, definitions));
  if (typeof value !== "object" || value === null) return value;
  const { $ref, ...rest } = value as JsonSchema;
  const entries = Object.entries(rest).map(([key, inner]) => [key, linked(inner, definitions)]);
  if (typeof $ref !== "string") return Object.fromEntries(entries);
  const name = decodeURIComponent($ref.replace("#/definitions/", ""));
  if (name === "Record<string,string>") return { ...Object.fromEntries(entries), $ref: "#/components/schemas/StringMap" };
  if (isName(name)) return { ...Object.fromEntries(entries), $ref: `#/components/schemas/${name}` };
  return { ...(linked(definitions[name], definitions) as JsonSchema), ...Object.fromEntries(entries) };
}
