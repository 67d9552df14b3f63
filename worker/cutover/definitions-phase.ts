import { reported } from "../../contracts/errors.ts";
import { type DefinitionsReport } from "../../contracts/reports.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { compareDefinitions } from "../schema/compare-definitions.ts";
import { type Prepared } from "../target/prepare.ts";

/** A catalog query that takes longer is given up, and the comparison with it. */
const STATEMENT_TIMEOUT = "1min"; // as the server says it: what was set is read back

/** Names in the warning; the report has more. */
const NAMES_MAX = 10;

/**
 * Compares the definitions of both sides once the target's are back, for the report. Never stands in a cutover's way: what
 * differs is a warning, and so is a comparison that cannot be made.
 */
export async function compareAllDefinitions(migration: Migration, prepared: Prepared): Promise<DefinitionsReport | undefined> {
  const { source, target, settings, board, log } = migration;
  const options = { purpose: "definitions", session: { statement_timeout: STATEMENT_TIMEOUT } };
  try {
    const report = await withConnection(source, options, (onSource) =>
      withConnection(target, options, (onTarget) =>
        compareDefinitions({
          source: onSource,
          target: onTarget,
          onlyTables: selection(migration, prepared),
          withReplicaIdentity: settings.tablesWithoutKey !== "replicaIdentityFull",
        }),
      ),
    );
    tell(migration, report);
    return report;
  } catch (thrown) {
    log.warn({ event: "definitions.uncompared", err: thrown }, "the definitions of both sides could not be compared");
    board.finding(reported("DefinitionsNotCompared", { detail: thrown instanceof Error ? thrown.message : String(thrown) }), "definitions");
    return undefined;
  }
}

/** The tables that were chosen, when not everything was. */
function selection({ settings, job }: Migration, { tables }: Prepared): string[] | undefined {
  const isChosen = [settings.includeTables, settings.excludeTables, job.selected.selectedTables].some(({ length }) => length > 0);
  return isChosen ? tables.map(({ schema, name }) => `${schema}.${name}`) : undefined;
}

function tell({ board }: Migration, { missing, different, differences }: DefinitionsReport): void {
  if (missing + different === 0) return;
  const names = differences.filter(({ source }) => source !== null).map(({ kind, name }) => `${kind} ${name}`);
  const detail = `${missing} missing on the target, ${different} different: ${names.slice(0, NAMES_MAX).join("; ")}${names.length > NAMES_MAX ? "; …" : ""}.`;
  board.finding(reported("DefinitionsDiffer", { detail }), "definitions");
}
