import { displayName, tableKey } from "../../contracts/tables.ts";
import { quoteLiteral } from "../postgres/quote.ts";
import { type PreparedStep } from "../postgres/raw-session.ts";
import { type Change } from "./change.ts";
import { type CheckedStep, preparedStep } from "./net-steps.ts";
import { type SyncTarget } from "./sync-table.ts";

/** How many changes of each kind a table had. */
export interface TableCounts {
  readonly table: SyncTarget;
  inserts: number;
  updates: number;
  deletes: number;
}

/** Changes of a group by table, as the source made them (not their net effect). */
export class ChangeCounts {
  readonly byTable: ReadonlyMap<string, TableCounts>;

  constructor(byTable: ReadonlyMap<string, TableCounts>) {
    this.byTable = byTable;
  }

  /** Adds the counts to the bookkeeping, in the transaction of the changes; no step when there were none. */
  steps(): CheckedStep[] {
    if (this.byTable.size === 0) return [];
    const values = [...this.byTable.values()].map(
      ({ table, inserts, updates, deletes }) =>
        `(${quoteLiteral(table.schema)}, ${quoteLiteral(table.name)}, ${inserts}, ${updates}, ${deletes}, now())`,
    );
    return [{ step: { sql: countingSql(values) }, table: undefined, rowCount: undefined }];
  }

  /** The same as prepared statements, one a table: for few of them. Names stay in the text, which a session of any encoding takes. */
  preparedSteps(): PreparedStep[] {
    return [...this.byTable.values()].map(({ table, inserts, updates, deletes }) => {
      const sql = countingSql([`(${quoteLiteral(table.schema)}, ${quoteLiteral(table.name)}, $1, $2, $3, now())`]);
      const values = [inserts, updates, deletes].map((count) => Buffer.from(String(count)));
      return preparedStep(sql, values);
    });
  }

  /** Names of the tables, for messages. */
  get tableNames(): string[] {
    return [...this.byTable.values()].map(({ table }) => displayName(table));
  }
}

const countingSql = (
  rows: readonly string[],
): string => `INSERT INTO pgdms.table_sync AS k (schema_name, table_name, inserts, updates, deletes, last_change_on) VALUES ${rows.join(", ")}
      ON CONFLICT (schema_name, table_name) DO UPDATE SET inserts = k.inserts + excluded.inserts, updates = k.updates + excluded.updates,
        deletes = k.deletes + excluded.deletes, last_change_on = excluded.last_change_on`;

/** Counts the changes of a group. A truncation counts as none. */
export function countChanges(changes: readonly Change[]): ChangeCounts {
  const counted = new Map<SyncTarget, TableCounts>();
  for (const change of changes) {
    if (change.kind === "truncate") continue;
    const counts = countsOf(counted, change.table.definition);
    if (change.kind === "insert") counts.inserts++;
    else if (change.kind === "update") counts.updates++;
    else counts.deletes++;
  }
  return new ChangeCounts(new Map([...counted].map(([table, counts]) => [tableKey(table), counts])));
}

function countsOf(counted: Map<SyncTarget, TableCounts>, table: SyncTarget): TableCounts {
  const known = counted.get(table);
  if (known) return known;
  const counts = { table, inserts: 0, updates: 0, deletes: 0 };
  counted.set(table, counts);
  return counts;
}
