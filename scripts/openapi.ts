import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { format, resolveConfig } from "prettier";
import { stringify } from "yaml";
import { type ControlPlane } from "../functions/control-plane.ts";
import { endpointsOf } from "../functions/endpoints.ts";
import { asyncApiDocument, messageSchemas } from "./api-description/asyncapi.ts";
import { openApiDocument } from "./api-description/openapi.ts";

// Writes the descriptions of the REST API and of the messages of automation: part of `npm run docs`. With --check it only says
// whether they are what the schemas say.

const root = dirname(import.meta.dirname);
const isCheck = process.argv.includes("--check");

const documents: Record<string, string> = {
  "docs/openapi.json": JSON.stringify(openApiDocument(root, endpointsOf({} as ControlPlane))),
  "docs/asyncapi.yaml": `# Made by npm run docs from the schemas in functions/.\n${stringify(asyncApiDocument())}`,
  ...Object.fromEntries(Object.entries(messageSchemas()).map(([name, schema]) => [`docs/schemas/${name}`, JSON.stringify(schema)])),
};

for (const [name, text] of Object.entries(documents)) {
  const file = join(root, name);
  const document = await format(text, { ...(await resolveConfig(file)), filepath: file });
  if (!isCheck) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, document);
  } else if ((await readFile(file, "utf8").catch(() => "")) !== document) {
    console.error(`${name} is not what the schemas say: run "npm run docs"`);
    process.exitCode = 1;
  }
}
