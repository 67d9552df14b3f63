import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { TableClient, TableServiceClient } from "@azure/data-tables";
import { journalRecordSchema } from "../../../local/broker/journal-records.ts";

/** Where a text was found: a file below a folder, or a message of a queue. */
export type Place = string;

/** Looks for a text in all files below a folder, as it is and in the encodings in which data travel. */
export async function filesWith(folder: string, text: string): Promise<Place[]> {
  const forms = encodings(text);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const found = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        const bytes = await readFile(path).catch(() => Buffer.alloc(0)); // it went while we looked
        return forms.some((form) => bytes.includes(form)) ? [path] : [];
      }),
  );
  return found.flat();
}

/** Looks for a text in every message that the broker ever took, those that were consumed long ago included. */
export async function messagesWith(busFolder: string, text: string): Promise<Place[]> {
  const forms = encodings(text);
  return (await messages(busFolder)).flatMap(({ path, bytes }) => (forms.some((form) => bytes.includes(form)) ? [path] : []));
}

async function messages(busFolder: string): Promise<{ path: string; bytes: Buffer }[]> {
  const lines = (await readFile(join(busFolder, "broker-journal.jsonl"), "utf8")).split("\n").slice(0, -1);
  return lines.flatMap((line) => {
    const record = journalRecordSchema.parse(JSON.parse(line));
    if (record.op !== "put") return [];
    const { properties, body, applicationProperties } = record.message.sections;
    return [{ path: record.path, bytes: Buffer.concat([properties, applicationProperties ?? Buffer.alloc(0), body]) }];
  });
}

/** As it is, percent-encoded, and in base64 at each of the three places where it can begin. */
function encodings(text: string): Buffer[] {
  const base64 = [0, 1, 2].map((shift) => {
    const encoded = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString("base64");
    return encoded.slice(shift === 0 ? 0 : shift + 1, -4); // without what neighbours would change
  });
  return [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1), ...base64].map((form) => Buffer.from(form));
}

/** Every row of every table, as it is now. */
export async function allRows(connectionString: string): Promise<string[]> {
  const options = { allowInsecureConnection: true };
  const rows: string[] = [];
  for await (const { name = "" } of TableServiceClient.fromConnectionString(connectionString, options).listTables()) {
    for await (const row of TableClient.fromConnectionString(connectionString, name, options).listEntities())
      rows.push(`${name} ${JSON.stringify(row)}`);
  }
  return rows;
}

/** Whether one of the texts holds another one, as it is or in an encoding. */
export const holds = (texts: readonly string[], text: string): boolean =>
  texts.some((candidate) => encodings(text).some((form) => candidate.includes(form.toString())));
