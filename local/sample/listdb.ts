import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type pg from "pg";
import { withClient } from "../postgres/with-client.ts";

/** So many rows listdb has unless asked otherwise. */
export const LISTDB_ROWS = 1_000_000;

/** How many rows each table gets. */
type Sizes = Readonly<Record<string, number>>;

/** The share of each table in all rows; the rest are small tables. */
function sizesFor(rows: number): Sizes {
  const share = (part: number, least = 10): number => Math.max(least, Math.round(rows * part));
  const itemsPerList = 12;
  const lists = share(0.035);
  return {
    accounts: share(0.02),
    teams: share(0.0005),
    members: share(0.005),
    lists,
    itemsPerList,
    items: lists * itemsPerList,
    labels: Math.min(500, share(0.0005)),
    itemLabels: share(0.24),
    comments: share(0.06),
    attachments: share(0.003),
    reminders: share(0.015),
    shortcuts: share(0.01) - (share(0.01) % 5),
    devices: share(0.008),
    edits: share(0.02),
    activity: share(0.16),
    invoices: share(0.005),
    settings: 40,
  };
}

/** What is being made, and which part of all is done, from 0 to 1. */
export type OnProgress = (what: string, fraction: number) => void;

/**
 * Makes the sample database in an empty database: 20 tables of a list-keeping application, about `rows` rows in all. Keys and
 * indexes come after the rows, as pg_restore does it.
 */
export async function createListdb(
  url: string,
  rows: number,
  signal: AbortSignal,
  onProgress: OnProgress = () => undefined,
): Promise<void> {
  await withClient(url, "listdb sample", async (client) => {
    const end = (): void => void client.end();
    signal.addEventListener("abort", end, { once: true });
    try {
      signal.throwIfAborted();
      await fill(client, rows, onProgress);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      signal.removeEventListener("abort", end);
    }
  });
}

async function fill(client: pg.Client, rows: number, onProgress: OnProgress): Promise<void> {
  await client.query("SET synchronous_commit = off; SET maintenance_work_mem = '128MB'; SET work_mem = '64MB'");
  await client.query(await sql("tables.sql"));
  const statements = filledIn(await sql("rows.sql"), sizesFor(rows)).split(/;\n+(?=\S)/);
  for (const [index, statement] of statements.entries()) {
    onProgress(/INSERT INTO (\S+)/.exec(statement)?.[1] ?? "", index / (statements.length + 1));
    await client.query(statement);
  }
  onProgress("keys and indexes", statements.length / (statements.length + 1));
  await client.query(await sql("constraints.sql"));
}

const sql = (name: string): Promise<string> => readFile(join(import.meta.dirname, name), "utf8");

function filledIn(text: string, sizes: Sizes): string {
  return text.replace(/\$\{(\w+)\}/g, (_, name: string) => {
    const size = sizes[name];
    if (size === undefined) throw new Error(`rows.sql asks for \${${name}}, which has no size`);
    return String(size);
  });
}
