import { describe, expect, test } from "vitest";
import { LSN_ZERO } from "../../../contracts/lsn.ts";
import { netSteps } from "../../../worker/incremental-sync/net-steps.ts";
import { type SyncTable, toSyncTable } from "../../../worker/incremental-sync/sync-table.ts";
import { tuple } from "./tuples.ts";

const OIDS = { integer: 23, bigint: 20, text: 25 };
type TypeName = keyof typeof OIDS;

/** A table whose first columns are its key, and one more of text. */
function tableOf(...keyTypes: TypeName[]): SyncTable {
  const columns = [...keyTypes, "text" as const].map((typeName, n) => ({ name: `c${n}`, typeName, typeOid: OIDS[typeName] }));
  const keyColumns = columns.slice(0, -1).map(({ name }) => name);
  const ofTarget = { isBuiltInType: true, isNotNull: false, isGenerated: false, identity: "none" as const };
  return toSyncTable(
    {
      id: 1,
      schema: "s",
      name: "t",
      replicaIdentity: "d",
      columns: columns.map((column, n) => ({ ...column, isKey: n < keyTypes.length })),
    },
    {
      schema: "s",
      name: "t",
      target: { schema: "s", name: "t" },
      isTargetPartitioned: false,
      targetColumns: new Map(columns.map((column) => [column.name, { ...column, ...ofTarget }])),
      sourceColumns: columns.map(({ name }) => name),
      keyColumns,
      snapshotLsn: LSN_ZERO,
      isInsertOnly: false,
    },
    0,
  );
}

function statementsOf(table: SyncTable, change: "updates" | "deletes"): string[] {
  const rows = Array.from({ length: 20 }, (_, n) => tuple(table.columns.map(() => String(n))));
  const none = { table, deletes: [], updates: [], inserts: [] };
  return netSteps({ ...none, [change]: rows }).map(({ step }) => ("sql" in step ? step.sql : ""));
}

describe("many updates or deletes of one table", () => {
  test("go through its key in the order of the index, where the key is quickly sorted", () => {
    const updates = statementsOf(tableOf("bigint", "integer"), "updates");
    expect(updates).toContain(
      'UPDATE ONLY "s"."t" AS t SET "c2" = s."c2" FROM (SELECT * FROM pg_temp.pgdms_s0_u ORDER BY "c0", "c1") AS s WHERE t."c0" = s."c0" AND t."c1" = s."c1"',
    );
    const deletes = statementsOf(tableOf("integer"), "deletes");
    expect(deletes).toContain(
      'DELETE FROM ONLY "s"."t" AS t USING (SELECT * FROM pg_temp.pgdms_s0_k ORDER BY "c0") AS s WHERE t."c0" = s."c0"',
    );
  });

  test("come as they are where sorting compares text by the rules of a language", () => {
    const all = [...statementsOf(tableOf("integer", "text"), "updates"), ...statementsOf(tableOf("text"), "deletes")];
    expect(all).toHaveLength(8);
    expect(all.join(";")).not.toContain("ORDER BY");
  });
});
