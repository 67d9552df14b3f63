import { parseTableName } from "./tables.ts";

/**
 * Every option of a migration, in one list: where it travels (the three string maps of a selected database, because that
 * is what the real client carries), what it may hold, what it means, and its default. The parser, the documentation and
 * the portal's form are all made from this list.
 */

export const SETTING_MAPS = ["migrationSetting", "sourceSetting", "targetSetting"] as const;
export type SettingMap = (typeof SETTING_MAPS)[number];

export type SettingType =
  | { readonly kind: "boolean" }
  | { readonly kind: "integer"; readonly min: number; readonly max: number; readonly unit?: string }
  | { readonly kind: "choice"; readonly values: readonly string[] }
  | { readonly kind: "list"; readonly of: string; readonly isItem?: (item: string) => boolean };

export interface SettingDefinition {
  readonly map: SettingMap;
  readonly type: SettingType;
  /** In the wire's form: text, as a user would write it. */
  readonly default: string;
  readonly help: string;
  /** Other spellings that are accepted. */
  readonly aliases?: readonly string[];
}

const bool = { kind: "boolean" } as const;

/** What is no name at all would fit no table, and an exclusion of it would be passed over. */
const tablePatterns = {
  kind: "list",
  of: "schema.table, * and ? match any characters; a name with a dot in double quotes",
  isItem: (item: string) => parseTableName(item) !== undefined,
} as const;

export const settingDefinitions = {
  migrateSchema: {
    map: "migrationSetting",
    type: bool,
    default: "false",
    help: "Copy the schema with pg_dump before the load. Off: the tables must exist on the target.",
  },
  migrateOwners: {
    map: "migrationSetting",
    type: bool,
    default: "false",
    help: "With migrateSchema: objects keep their owners, by name; the roles must exist on the target. Off: the target's user owns all.",
  },
  migratePrivileges: {
    map: "migrationSetting",
    type: bool,
    default: "false",
    help: "With migrateSchema: rights (GRANT, default privileges) are migrated as well; the roles must exist on the target.",
  },
  createDatabase: { map: "migrationSetting", type: bool, default: "false", help: "Create the target database when it does not exist." },
  includeTables: {
    map: "migrationSetting",
    type: tablePatterns,
    default: "",
    help: "Only these tables. Empty: all that selectedTables names, or every table of the database.",
  },
  excludeTables: {
    map: "migrationSetting",
    type: tablePatterns,
    default: "",
    help: "Not these tables.",
  },
  onExistingRows: {
    map: "migrationSetting",
    type: { kind: "choice", values: ["refuse", "truncate", "append", "keepEqual"] },
    default: "refuse",
    help: "What to do when a target table holds rows already: refuse the migration, empty the table, add to it, or keep it if it equals the source's and empty it if not.",
  },
  tablesWithoutKey: {
    map: "migrationSetting",
    type: { kind: "choice", values: ["refuse", "insertsOnly", "replicaIdentityFull"] },
    default: "refuse",
    help: "Tables without a usable replica identity: refuse the migration, follow inserts only, or set REPLICA IDENTITY FULL on the source.",
  },
  fullLoadStreams: {
    map: "migrationSetting",
    type: { kind: "integer", min: 1, max: 32 },
    default: "4",
    aliases: ["fullLoadSubTasks"],
    help: "How many COPY streams load at once.",
  },
  largeTablePartMB: {
    map: "migrationSetting",
    type: { kind: "integer", min: 1, max: 1_048_576, unit: "MB" },
    default: "1024",
    help: "Tables larger than this are loaded in parts of about this size, and their indexes are built by as many processes as the target itself would take. A source of 14 or later reads parts through all of its shared buffers; a table that is read whole takes a few of them, or it is smaller than a quarter of all.",
  },
  deferIndexes: {
    map: "migrationSetting",
    type: bool,
    default: "true",
    help: "Drop indexes, unique constraints and keys before the load and build them after it. Tables of up to 1 MB keep theirs.",
  },
  compareAtCutover: {
    map: "migrationSetting",
    type: { kind: "choice", values: ["checksum", "count", "none"] },
    default: "checksum",
    help: "How both sides are compared at cutover: rows and checksums, rows only, or not at all.",
  },
  onTableError: {
    map: "migrationSetting",
    type: { kind: "choice", values: ["stop", "suspendTable"] },
    default: "stop",
    help: "What an error of one table does: stop (the task fails, or the whole sync waits where it can go on by itself), or suspend that table alone, to be reloaded later.",
  },
  followSourceDdl: {
    map: "migrationSetting",
    type: { kind: "choice", values: ["none", "additions"] },
    default: "none",
    help: "Changes of definitions on the source during the sync: none are made on the target by pgdms, or additions: new columns that take NULL and have no default, and new enum labels.",
  },
  sequenceIntervalSeconds: {
    map: "migrationSetting",
    type: { kind: "integer", min: 0, max: 86_400, unit: "s" },
    default: "30",
    help: "How often at most the target's sequences are set ahead of the source's during the sync (thousands take seconds to read, and then come less often); 0: only at the cutover, where they are set exactly.",
  },
  fence: {
    map: "migrationSetting",
    type: { kind: "choice", values: ["none", "readOnly"] },
    default: "none",
    help: "At cutover make the source database read-only and end its other sessions (ALTER DATABASE … SET default_transaction_read_only). Needs the database's owner.",
  },
  skipChecks: {
    map: "migrationSetting",
    type: { kind: "list", of: "check codes" },
    default: "",
    help: "Checks to leave out, by code. The report says which were.",
  },
  applyGroupMaxChanges: {
    map: "migrationSetting",
    type: { kind: "integer", min: 1, max: 1_000_000 },
    default: "20000",
    help: "How many changes of the source are applied in one target transaction at most while catching up; half as many again of a backlog that is read by SQL.",
  },
  applyGroupMaxMB: {
    map: "migrationSetting",
    type: { kind: "integer", min: 1, max: 256, unit: "MB" },
    default: "16",
    help: "How many bytes of changes are held for one target transaction at most.",
  },
  plugin: {
    map: "sourceSetting",
    type: { kind: "choice", values: ["auto", "pgoutput", "test_decoding"] },
    default: "auto",
    help: "The logical decoding plugin. auto: pgoutput where the publication can be made, else test_decoding.",
  },
  slotTimeoutSeconds: {
    map: "sourceSetting",
    type: { kind: "integer", min: 1, max: 86_400, unit: "s" },
    default: "120",
    help: "How long creating the slot may wait for open transactions of the source before the task fails and names them.",
  },
  decodingMemoryMB: {
    map: "sourceSetting",
    type: { kind: "integer", min: 0, max: 65_536, unit: "MB" },
    default: "0",
    help: "What the source may hold in memory of transactions that it decodes (logical_decoding_work_mem of the change stream, PostgreSQL 13 and later). 0: 16 where larger ones are streamed, else half of its shared_buffers, from 64 to 1024.",
  },
  streamLargeTransactions: {
    map: "sourceSetting",
    type: bool,
    default: "true",
    help: "Transactions that are larger than decodingMemoryMB are read and applied before they end (pgoutput of PostgreSQL 14 and later). They are committed on the target when they are on the source, with all that committed meanwhile. Off: they are read once they have ended.",
  },
  sqlBacklogMB: {
    map: "sourceSetting",
    type: { kind: "integer", min: 0, max: 1_000_000, unit: "MB" },
    default: "64",
    help: "From how many MB of WAL on a backlog of many small transactions is read by SQL functions instead of the change stream (pgoutput of PostgreSQL 12 and later), which costs the source a fraction of the work, above all over TLS. A second slot is there meanwhile, and the source may need 100 MB of its disk for a moment. 0: never.",
  },
  walBudgetMB: {
    map: "sourceSetting",
    type: { kind: "integer", min: 0, max: 100_000_000, unit: "MB" },
    default: "0",
    help: "How much WAL the migration's slot may hold back on the source: warnings come at 50 % and 80 % of it, at 100 % onWalBudget is done. 0: no budget.",
  },
  onWalBudget: {
    map: "sourceSetting",
    type: { kind: "choice", values: ["warn", "stopAndDropSlot"] },
    default: "warn",
    help: "What to do when the WAL held back reaches walBudgetMB: warn and go on, or fail the database and drop its slot, so that the source frees its WAL at once.",
  },
  sourceWalDiskMB: {
    map: "sourceSetting",
    type: { kind: "integer", min: 0, max: 100_000_000, unit: "MB" },
    default: "0",
    help: "How much WAL the source's disk has room for; PostgreSQL does not tell. Only for the forecast and the warnings at 50 % and 80 %. 0: not known.",
  },
  maxLoadMBps: {
    map: "sourceSetting",
    type: { kind: "integer", min: 0, max: 100_000, unit: "MB/s" },
    default: "0",
    help: "How fast the full load of this database may read the source, all its streams together. 0: as fast as it goes. A slower load keeps the slot's WAL longer.",
  },
  maxSourceLatencyMs: {
    map: "sourceSetting",
    type: { kind: "integer", min: 0, max: 3_600_000, unit: "ms" },
    default: "1000",
    help: "When the source takes longer than this for a trivial query, the full load of this database reads with one connection less, time and again, down to one; when it has long answered in half the time, with one more. 0: always with fullLoadStreams.",
  },
  maxSnapshotAgeMinutes: {
    map: "sourceSetting",
    type: { kind: "integer", min: 0, max: 525_600, unit: "min" },
    default: "0",
    help: "When the load's snapshot is older no further table is begun under it: those under way are finished (a table that is cut by its key need not be), and the rest is loaded under a new snapshot, so that vacuum on the source can go on. 0: one snapshot for all.",
  },
  encryptSource: {
    map: "sourceSetting",
    type: { kind: "choice", values: ["asGiven", "true", "false"] },
    default: "asGiven",
    aliases: ["encryptConnection"],
    help: "TLS to the source, for clients that cannot send encryptConnection.",
  },
  trustSourceCertificate: {
    map: "sourceSetting",
    type: { kind: "choice", values: ["asGiven", "true", "false"] },
    default: "asGiven",
    aliases: ["trustServerCertificate"],
    help: "Accept any certificate of the source, for clients that cannot send trustServerCertificate.",
  },
  encryptTarget: {
    map: "targetSetting",
    type: { kind: "choice", values: ["asGiven", "true", "false"] },
    default: "asGiven",
    aliases: ["encryptConnection"],
    help: "TLS to the target, for clients that cannot send encryptConnection.",
  },
  trustTargetCertificate: {
    map: "targetSetting",
    type: { kind: "choice", values: ["asGiven", "true", "false"] },
    default: "asGiven",
    aliases: ["trustServerCertificate"],
    help: "Accept any certificate of the target, for clients that cannot send trustServerCertificate.",
  },
  applyLanes: {
    map: "targetSetting",
    type: { kind: "integer", min: 1, max: 16 },
    default: "1",
    help: "In how many sessions of the target changes are applied at once while catching up. With more than one others may see some rows of a transaction before the rest of them. Needs a target user that may set session_replication_role.",
  },
  indexBuilders: {
    map: "targetSetting",
    type: { kind: "integer", min: 1, max: 32 },
    default: "2",
    help: "How many indexes are built at once on the target.",
  },
  maintenanceWorkMemMB: {
    map: "targetSetting",
    type: { kind: "integer", min: 1, max: 65_536, unit: "MB" },
    default: "256",
    help: "maintenance_work_mem of the sessions that build indexes.",
  },
} as const satisfies Record<string, SettingDefinition>;

export type SettingName = keyof typeof settingDefinitions;

type ValueOf<T extends SettingType> = T extends { kind: "boolean" }
  ? boolean
  : T extends { kind: "integer" }
    ? number
    : T extends { kind: "choice"; values: readonly (infer V)[] }
      ? V
      : readonly string[];

/** The parsed settings of one database. */
export type Settings = { readonly [K in SettingName]: ValueOf<(typeof settingDefinitions)[K]["type"]> };

/** How the source is kept from being written to at a cutover. */
export type Fence = Settings["fence"];

/** The three maps as they come over the wire. */
export type SettingMaps = Partial<Record<SettingMap, Record<string, string> | undefined | null>>;

/** One thing wrong with a setting: the path below the selected database, and a sentence with the remedy. */
export interface SettingProblem {
  readonly path: string;
  readonly message: string;
}

export type SettingsResult =
  { readonly ok: true; readonly settings: Settings } | { readonly ok: false; readonly problems: readonly SettingProblem[] };

const definitions = Object.entries(settingDefinitions) as [SettingName, SettingDefinition][];

const namesOf = (map: SettingMap): string[] => definitions.filter(([, d]) => d.map === map).map(([name]) => name);

const findSetting = (map: SettingMap, key: string): [SettingName, SettingDefinition] | undefined =>
  definitions.find(([name, d]) => d.map === map && (name === key || (d.aliases ?? []).includes(key)));

/** What a setting may hold, in words. */
export function allowedValues(type: SettingType): string {
  switch (type.kind) {
    case "boolean":
      return '"true" or "false"';
    case "integer":
      return `a whole number from ${type.min} to ${type.max}${type.unit ? ` (${type.unit})` : ""}`;
    case "choice":
      return type.values.map((value) => `"${value}"`).join(", ");
    case "list":
      return `a comma-separated list (${type.of})`;
  }
}

/** In any case: "True" is what Python and PowerShell write. */
const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["false", false],
]);

/** Reads one value; undefined when it is not allowed. */
function parseValue(type: SettingType, text: string): boolean | number | string | readonly string[] | undefined {
  switch (type.kind) {
    case "boolean":
      return BOOLEANS.get(text.toLowerCase());
    case "integer": {
      const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
      return value >= type.min && value <= type.max ? value : undefined;
    }
    case "choice":
      return type.values.find((value) => value.toLowerCase() === text.toLowerCase());
    case "list": {
      const items = splitList(text);
      return items.every(type.isItem ?? (() => true)) ? items : undefined;
    }
  }
}

const notAllowed = (type: SettingType, text: string): string => `"${text}" is not allowed. Give ${allowedValues(type)}.`;

export type SettingValue<N extends SettingName> =
  { readonly ok: true; readonly value: Settings[N] } | { readonly ok: false; readonly message: string };

/** Reads a value of one setting that is given elsewhere than in the maps: with a command, or on a command line. */
export function readSetting<N extends SettingName>(name: N, text: string): SettingValue<N> {
  const { type } = settingDefinitions[name];
  const value = parseValue(type, text.trim());
  return value === undefined ? { ok: false, message: notAllowed(type, text) } : { ok: true, value: value as Settings[N] };
}

/** Splits at commas that are not inside double quotes, so that table names may hold commas. */
function splitList(text: string): string[] {
  const items = text.match(/(?:"(?:[^"]|"")*"|[^,"])+/g) ?? [];
  return items.map((item) => item.trim()).filter((item) => item !== "");
}

/**
 * Parses the setting maps of one selected database. An unknown key or a bad value is a problem that names the key and
 * what is allowed; all problems are listed, not just the first.
 */
export function parseSettings(maps: SettingMaps): SettingsResult {
  const values: Record<string, unknown> = {};
  const problems: SettingProblem[] = [];
  for (const [name, definition] of definitions) values[name] = parseValue(definition.type, definition.default);
  for (const map of SETTING_MAPS) {
    for (const [key, text] of Object.entries(maps[map] ?? {})) {
      const path = `${map}.${key}`;
      const found = findSetting(map, key);
      if (!found) {
        problems.push({ path, message: `"${key}" is not a setting of ${map}. Known settings: ${namesOf(map).join(", ")}.` });
        continue;
      }
      const value = typeof text === "string" ? parseValue(found[1].type, text.trim()) : undefined;
      if (value === undefined) problems.push({ path, message: notAllowed(found[1].type, String(text)) });
      else values[found[0]] = value;
    }
  }
  return problems.length > 0 ? { ok: false, problems } : { ok: true, settings: values as Settings };
}

/**
 * Parses settings that were parsed before (they come from a message of the control plane).
 * @throws TypeError when they do not fit after all: both sides are then of different versions.
 */
export function requireSettings(maps: SettingMaps): Settings {
  const result = parseSettings(maps);
  if (!result.ok) throw new TypeError(result.problems.map(({ path, message }) => `${path}: ${message}`).join(" "));
  return result.settings;
}
