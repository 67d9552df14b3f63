import type { DatabaseView, MigrationView } from "../migration/migration-view.ts";

/** The report as it is kept: who moved what, when, and what both sides held. */
function reportDocument({ task, migration }: MigrationView, { output, tables, findings }: DatabaseView) {
  return {
    taskId: task.properties.taskId,
    taskName: task.name,
    databaseName: output.databaseName,
    targetDatabaseName: output.targetDatabaseName,
    sourceServer: migration?.sourceServer ?? null,
    sourceServerVersion: migration?.sourceServerVersion ?? null,
    targetServer: migration?.targetServer ?? null,
    targetServerVersion: migration?.targetServerVersion ?? null,
    startedOn: output.startedOn,
    endedOn: output.endedOn,
    fullLoad: { rows: output.fullLoadRows, bytes: output.fullLoadBytes },
    incrementalSync: { inserts: output.cdcInsertCounter, updates: output.cdcUpdateCounter, deletes: output.cdcDeleteCounter },
    cutover: output.cutover,
    tables: tables.map(({ schema, name, fullLoadTotalRows, totalChangesApplied, comparison }) => ({
      schema,
      name,
      fullLoadTotalRows,
      totalChangesApplied,
      comparison,
    })),
    findings,
  };
}

/** Hands the report to the browser as a file. */
export function downloadReport(view: MigrationView, database: DatabaseView): void {
  const content = JSON.stringify(reportDocument(view, database), null, 2);
  const address = URL.createObjectURL(new Blob([content], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `cutover-${database.output.databaseName}.json`;
  link.click();
  URL.revokeObjectURL(address);
}
