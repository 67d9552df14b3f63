import { MigrationError } from "../../contracts/errors.ts";
import { displayName, tableKey, type TableName } from "../../contracts/tables.ts";
import { type Migration } from "../migration.ts";
import { withConnection } from "../postgres/connect.ts";
import { withRetry } from "../postgres/retry.ts";
import { readTables, type TableDefinition } from "../source/catalog.ts";
import { readTargetTables } from "../target/find-targets.ts";
import { listTables, readListedTables, type ListedTable } from "../target/listed-tables.ts";
import { type Prepared, publish } from "../target/prepare.ts";
import { namesOf, selectTables } from "../validation/select-tables.ts";

/** The migration's tables of these names, and names that mean none. */
export interface NamedTables {
  readonly tables: readonly ListedTable[];
  readonly unknown: readonly string[];
}

const isMeant = (table: TableDefinition, names: ReadonlySet<string>): boolean => namesOf(table).some((name) => names.has(tableKey(name)));

/**
 * Finds tables by name. Those that came to the source after the migration began join it when its selection means them: they
 * are listed, published, and left out until they are loaded.
 * @throws MigrationError NoReplicaIdentity when such a table cannot be followed as the settings ask.
 */
export async function joinTables(migration: Migration, prepared: Prepared, names: readonly TableName[]): Promise<NamedTables> {
  const keys = new Set(names.map(tableKey));
  const found = await readSource(migration, prepared);
  const listed = new Set(prepared.tables.map(tableKey));
  const fresh = selected(migration, found).filter((table) => isMeant(table, keys) && !listed.has(tableKey(table)));
  if (fresh.length > 0) await join(migration, prepared, fresh, found);
  const tables = prepared.tables.filter(({ definition }) => isMeant(definition, keys));
  const unknown = names.filter((name) => !tables.some(({ definition }) => isMeant(definition, new Set([tableKey(name)]))));
  return { tables, unknown: unknown.map(displayName) };
}

async function join(
  { source, target, ownership, settings }: Migration,
  prepared: Prepared,
  fresh: readonly TableDefinition[],
  found: readonly TableDefinition[],
): Promise<void> {
  const { tablesWithoutKey } = settings;
  const without = fresh.find(({ identity }) => identity.kind === "nothing");
  if (without && tablesWithoutKey === "refuse")
    throw new MigrationError("NoReplicaIdentity", { table: displayName(without), detail: `${displayName(without)}.` });
  prepared.tables = await withConnection(target, { purpose: "join" }, async (client) => {
    const targets = await readTargetTables(client, prepared.targetVersionNum);
    await listTables(client, ownership, { source: fresh, target: targets, tablesWithoutKey, joinsLate: true });
    return readListedTables(client, found);
  });
  prepared.publications = await withConnection(source, { purpose: "join" }, (client) =>
    publish(client, prepared.sourceVersionNum, prepared.tables, prepared.row),
  );
}

const readSource = ({ source, signal }: Migration, { sourceVersionNum }: Prepared): Promise<TableDefinition[]> =>
  withRetry(() => withConnection(source, { purpose: "join" }, (client) => readTables(client, sourceVersionNum)), { signal });

/** What the user's selection means of what the source has now. */
const selected = ({ job, settings }: Migration, found: readonly TableDefinition[]): readonly TableDefinition[] =>
  selectTables(found, {
    selectedTables: job.selected.selectedTables.map(({ name }) => name),
    includeTables: settings.includeTables,
    excludeTables: settings.excludeTables,
  }).tables;

/** Partitions that the source has got since the migration began, of tables that are migrated as a whole. */
export async function newPartitions(migration: Migration, prepared: Prepared): Promise<TableDefinition[]> {
  const roots = new Set(prepared.tables.flatMap(({ definition: { partitionRoot } }) => (partitionRoot ? [tableKey(partitionRoot)] : [])));
  if (roots.size === 0) return [];
  const listed = new Set(prepared.tables.map(tableKey));
  return selected(migration, await readSource(migration, prepared)).filter(
    (table) => table.partitionRoot && roots.has(tableKey(table.partitionRoot)) && !listed.has(tableKey(table)),
  );
}
