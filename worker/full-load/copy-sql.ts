import { quoteNames, quoteTable } from "../postgres/quote.ts";
import { conditionOf, type PartRange } from "./part-range.ts";
import { type TablePlan } from "./plan.ts";

/**
 * Reads one part of a table. ONLY, since children of an inheritance parent are tables of their own; COPY of a table by
 * its name has the same meaning and spares the executor.
 */
export function copyToSql(plan: TablePlan, range: PartRange): string {
  const { table, format } = plan;
  const columns = columnNames(plan);
  const condition = conditionOf(range);
  // COPY takes no empty column list; a query without columns it takes.
  const rows =
    condition === undefined && columns.length > 0
      ? `${quoteTable(table)} (${quoteNames(columns)})`
      : `(SELECT ${quoteNames(columns)} FROM ONLY ${quoteTable(table)}${condition === undefined ? "" : ` WHERE ${condition}`})`;
  return `COPY ${rows} TO STDOUT (FORMAT ${format})`;
}

/** Writes them. A partitioned target sorts rows into its partitions by itself. */
export function copyFromSql(plan: TablePlan): string {
  const { table, format } = plan;
  const columns = columnNames(plan);
  return `COPY ${quoteTable(table.target)}${columns.length > 0 ? ` (${quoteNames(columns)})` : ""} FROM STDIN (FORMAT ${format})`;
}

const columnNames = ({ columns }: TablePlan): string[] => columns.map(({ name }) => name);
