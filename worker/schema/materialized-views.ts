import pg from "pg";
import { reported, type ReportedError } from "../../contracts/errors.ts";
import { failureCode, isTransient } from "../postgres/failures.ts";

/**
 * Materialized views with the views and functions between them resolved: a view comes after those that it reads. The
 * dependency is a rewrite rule's (pg_rewrite), and passes through ordinary views.
 */
const VIEWS_IN_ORDER = `
  WITH RECURSIVE reads AS (
    SELECT DISTINCT r.ev_class AS reader, d.refobjid AS relation
      FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
     WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class),
  depth(view, level) AS (
    SELECT c.oid, 0 FROM pg_class c WHERE c.relkind IN ('m', 'v')
    UNION
    SELECT r.reader, d.level + CASE c.relkind WHEN 'm' THEN 1 ELSE 0 END
      FROM depth d JOIN pg_class c ON c.oid = d.view JOIN reads r ON r.relation = d.view)
  SELECT format('REFRESH MATERIALIZED VIEW %I.%I', n.nspname, c.relname) AS sql
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN (SELECT view, max(level) AS level FROM depth GROUP BY view) d ON d.view = c.oid
   WHERE c.relkind = 'm' AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
   ORDER BY d.level, n.nspname, c.relname`;

/**
 * Fills every materialized view of the target, those first that others read. A dump makes them empty, and changes of the
 * tables below are not seen by those that were filled before.
 * @returns an error with its statement for each view that could not be filled.
 */
export async function refreshMaterializedViews(client: pg.Client, signal: AbortSignal): Promise<ReportedError[]> {
  const { rows } = await client.query<{ sql: string }>(VIEWS_IN_ORDER);
  const failures: ReportedError[] = [];
  // Functions in them may count on the path that the database's users have; ours is pg_catalog alone.
  await client.query("SET search_path TO DEFAULT");
  try {
    for (const { sql } of rows) {
      signal.throwIfAborted();
      failures.push(...(await refresh(client, sql)));
    }
  } finally {
    await client.query("SET search_path TO pg_catalog").catch(() => undefined); // fails only with the connection
  }
  return failures;
}

async function refresh(client: pg.Client, sql: string): Promise<ReportedError[]> {
  try {
    await client.query(sql);
    return [];
  } catch (thrown) {
    if (isTransient(thrown) || !(thrown instanceof pg.DatabaseError)) throw thrown;
    const sqlState = failureCode(thrown);
    return [reported("DefinitionNotRestored", { detail: `${thrown.message}: ${sql};`, ...(sqlState === undefined ? {} : { sqlState }) })];
  }
}
