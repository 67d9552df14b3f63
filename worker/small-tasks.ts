import { TASK_TYPES, type TaskWork } from "../contracts/commands.ts";
import { type ReportedError, reportedFrom } from "../contracts/errors.ts";
import { type ReportItem } from "../contracts/reports.ts";
import { type ServerReport, checkSource, checkTarget } from "./validation/check-server.ts";
import { listUserTables, type UserTable } from "./validation/user-tables.ts";
import { type MigrationWork } from "./migration-run.ts";
import { type SecretSource, serverFor } from "./secrets.ts";

/** Tables of one report item; a list of thousands goes out in several. */
const TABLES_PER_PAGE = 500;

/** The tasks that look and change nothing. */
export type SmallWork = Exclude<TaskWork, MigrationWork>;

/** What a small task found, and the errors that ended it; no error: it succeeded. */
export interface SmallOutcome {
  readonly items: readonly ReportItem[];
  readonly errors: readonly ReportedError[];
}

/** Runs one of the tasks that look and change nothing. Never throws: what goes wrong is its outcome. */
export async function runSmallTask(work: SmallWork, secrets: SecretSource, signal: AbortSignal): Promise<SmallOutcome> {
  try {
    switch (work.taskType) {
      case TASK_TYPES.connectToSource:
        return connectOutcome("source", await checkSource(serverFor("source", work.source, secrets), { signal }));
      case TASK_TYPES.connectToTarget: {
        const source = serverFor("source", work.source, secrets);
        return connectOutcome("target", await checkTarget(serverFor("target", work.target, secrets), { signal, source }));
      }
      case TASK_TYPES.getUserTables:
        return await listTables(work, secrets);
    }
  } catch (thrown) {
    return { items: [], errors: [reportedFrom(thrown)] };
  }
}

function connectOutcome(side: "source" | "target", { serverVersion, serverBrandVersion, databases, findings }: ServerReport): SmallOutcome {
  return { items: [{ kind: "connectOutput", side, serverVersion, serverBrandVersion, databases: [...databases], findings }], errors: [] };
}

async function listTables(
  { source, selectedDatabases }: Extract<SmallWork, { selectedDatabases: string[] }>,
  secrets: SecretSource,
): Promise<SmallOutcome> {
  const items: ReportItem[] = [];
  const errors: ReportedError[] = [];
  for (const databaseName of selectedDatabases) {
    try {
      items.push(...pages(databaseName, await listUserTables(serverFor("source", source, secrets), databaseName)));
    } catch (thrown) {
      const finding = reportedFrom(thrown, { databaseName });
      items.push({ kind: "tablesOutput", databaseName, page: 0, tables: [], findings: [finding] });
      errors.push(finding);
    }
  }
  // One database that cannot be read does not hide the others.
  return { items, errors: errors.length === selectedDatabases.length ? errors : [] };
}

function pages(databaseName: string, tables: readonly UserTable[]): ReportItem[] {
  const count = Math.max(1, Math.ceil(tables.length / TABLES_PER_PAGE));
  return Array.from({ length: count }, (_, page) => ({
    kind: "tablesOutput" as const,
    databaseName,
    page,
    tables: tables.slice(page * TABLES_PER_PAGE, (page + 1) * TABLES_PER_PAGE),
    findings: [],
  }));
}
