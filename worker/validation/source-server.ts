import { quoteName } from "../postgres/quote.ts";
import { type FindingDraft, listed, type Plugin, type SourceCheck, type SourceContext } from "./check.ts";
import { readSettings, versionText } from "./end.ts";
import { type OpenTransaction, readOpenTransactions, sayTransaction } from "./open-transactions.ts";

const OLDEST_SOURCE = 90_400;

export const version: SourceCheck = {
  kind: "SourceVersionUnsupported",
  scope: "source",
  alsoOnResume: true,
  run: ({ source: { versionNum } }) =>
    Promise.resolve(versionNum >= OLDEST_SOURCE ? [] : [{ detail: `It is ${versionText(versionNum)}.` }]),
};

/** PostgreSQL 19 raises the level by itself when a slot is made and tells so in effective_wal_level. */
const walLevel: SourceCheck = {
  kind: "WalLevelNotLogical",
  scope: "source",
  alsoOnResume: true,
  async run({ source: { client } }) {
    const settings = await readSettings(client, ["wal_level", "effective_wal_level"]);
    const level = settings.get("wal_level") ?? "";
    if (level === "logical" || settings.get("effective_wal_level") === "logical") return [];
    return [{ detail: `It is ${level}.` }];
  },
};

const freeSlots: SourceCheck = {
  kind: "NoFreeReplicationSlot",
  scope: "source",
  async run({ source: { client } }) {
    const max = Number((await readSettings(client, ["max_replication_slots"])).get("max_replication_slots"));
    const { rows } = await client.query<{ slots: string[] }>(
      "SELECT coalesce(array_agg(slot_name::text ORDER BY active, slot_name), '{}') AS slots FROM pg_replication_slots",
    );
    const slots = rows[0]?.slots ?? [];
    if (slots.length < max) return [];
    return [{ detail: `max_replication_slots is ${max}; in use: ${listed(slots) || "none"}.` }];
  },
};

/** One sender follows the changes; a second one is needed for a moment when a load is taken up again. */
const SENDERS_NEEDED = 2;

const freeSenders: SourceCheck = {
  kind: "NoFreeWalSender",
  scope: "source",
  async run({ source: { client } }) {
    const max = Number((await readSettings(client, ["max_wal_senders"])).get("max_wal_senders"));
    const { rows } = await client.query<{ used: number }>("SELECT count(*)::int AS used FROM pg_stat_replication");
    const used = rows[0]?.used ?? 0;
    if (max - used >= SENDERS_NEEDED) return [];
    return [{ detail: `max_wal_senders is ${max}, ${used} are in use, ${SENDERS_NEEDED} are needed.` }];
  },
};

/** Roles of managed platforms whose members may replicate without the attribute. */
const REPLICATING_ROLES = ["rds_replication", "azure_pg_admin"];

const replicationRight: SourceCheck = {
  kind: "NoReplicationRight",
  scope: "source",
  async run({ source: { client, role } }) {
    const { rows } = await client.query<{ may: boolean }>(
      `SELECT rolsuper OR rolreplication OR EXISTS (SELECT FROM pg_roles p WHERE p.rolname = ANY ($1::name[]) AND pg_has_role(p.oid, 'MEMBER')) AS may
         FROM pg_roles WHERE rolname = current_user`,
      [REPLICATING_ROLES],
    );
    if (rows[0]?.may === true) return [];
    return [
      {
        detail: `The user is ${role}.`,
        remedy: `ALTER ROLE ${quoteName(role)} REPLICATION; (on RDS: GRANT rds_replication TO ${quoteName(role)};).`,
      },
    ];
  },
};

/**
 * A standby is refused in every version: the cutover proves the end of the changes with a marker that is written to the
 * source, and nothing can be written to a standby.
 */
const recovery: SourceCheck = {
  kind: "SourceInRecovery",
  scope: "source",
  async run({ source: { client } }) {
    const { rows } = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
    if (rows[0]?.standby !== true) return [];
    return [{ detail: "It is in recovery.", remedy: "Give the address of the primary server." }];
  },
};

const preparedTransactions: SourceCheck = {
  kind: "PreparedTransactions",
  scope: "source",
  async run({ source: { client } }) {
    const { rows } = await client.query<{ gid: string; database: string; owner: string; minutes: number }>(
      `SELECT gid, database::text, owner::text, (extract(epoch FROM clock_timestamp() - prepared) / 60)::int AS minutes
         FROM pg_prepared_xacts ORDER BY prepared`,
    );
    if (rows.length === 0) return [];
    const all = rows.map(({ gid, database, owner, minutes }) => `'${gid}' of ${owner} in ${database}, ${minutes} min old`);
    return [{ detail: `Creating the slot waits for them: ${listed(all)}.` }];
  },
};

const LONG_TRANSACTION_SECONDS = 300;

const longTransactions: SourceCheck = {
  kind: "LongTransaction",
  scope: "source",
  async run({ source: { client } }) {
    const long = longOpen(await readOpenTransactions(client));
    return long.length === 0 ? [] : [{ detail: `${listed(long.map(sayTransaction))}.` }];
  },
};

/** Those that have been open for long, as far as their age can be seen. */
export const longOpen = (transactions: readonly OpenTransaction[]): OpenTransaction[] =>
  transactions.filter(({ ageSeconds }) => (ageSeconds ?? 0) >= LONG_TRANSACTION_SECONDS);

/** Below this a busy link is cut before we could answer. */
const WAL_SENDER_TIMEOUT_MS_MIN = 10_000;

const walSenderTimeout: SourceCheck = {
  kind: "WalSenderTimeoutUnfit",
  scope: "source",
  async run({ source: { client } }) {
    const timeoutMs = Number((await readSettings(client, ["wal_sender_timeout"])).get("wal_sender_timeout"));
    if (timeoutMs >= WAL_SENDER_TIMEOUT_MS_MIN) return [];
    const detail =
      timeoutMs === 0
        ? "It is 0: the source never notices a connection that vanished, and keeps its slot in use."
        : `It is ${timeoutMs} ms: a busy link may be cut.`;
    return [{ detail }];
  },
};

const slotWalLimit: SourceCheck = {
  kind: "SlotWalLimited",
  scope: "source",
  async run({ source: { client } }) {
    const limitMB = (await readSettings(client, ["max_slot_wal_keep_size"])).get("max_slot_wal_keep_size"); // 13 and later
    return limitMB === undefined || Number(limitMB) < 0 ? [] : [{ detail: `max_slot_wal_keep_size is ${limitMB} MB.` }];
  },
};

const DECODING_MEMORY_KB_MIN = 65_536; // PostgreSQL's default

const decodingMemory: SourceCheck = {
  kind: "DecodingMemoryLow",
  scope: "source",
  async run({ source: { client } }) {
    const memoryKB = (await readSettings(client, ["logical_decoding_work_mem"])).get("logical_decoding_work_mem"); // 13 and later
    return memoryKB === undefined || Number(memoryKB) >= DECODING_MEMORY_KB_MIN ? [] : [{ detail: `It is ${memoryKB} kB.` }];
  },
};

/** The server stops for wraparound at about 2.1 thousand million. */
const XID_AGE_MAX = 1_500_000_000;

const wraparound: SourceCheck = {
  kind: "WraparoundNear",
  scope: "source",
  async run({ source: { client } }) {
    const { rows } = await client.query<{ name: string; age: number }>(
      "SELECT datname::text AS name, age(datfrozenxid) AS age FROM pg_database ORDER BY age(datfrozenxid) DESC LIMIT 1",
    );
    return rows.flatMap(judgeAge);
  },
};

export const judgeAge = ({ name, age }: { readonly name: string; readonly age: number }): FindingDraft[] =>
  age < XID_AGE_MAX ? [] : [{ detail: `The oldest transaction of ${name} is ${age} transactions old.` }];

/** Minor releases since August 2026 can limit the plugins (CVE-2026-6471); the default allows both of ours. */
const pluginAllowed: SourceCheck = {
  kind: "OutputPluginNotAllowed",
  scope: "source",
  async run({ source: { client }, plugin }: SourceContext) {
    const allowed = (await readSettings(client, ["output_plugin_libraries"])).get("output_plugin_libraries");
    return allowed === undefined || allowsPlugin(allowed, plugin)
      ? []
      : [{ detail: `output_plugin_libraries is "${allowed}"; the migration uses ${plugin}.` }];
  },
};

export function allowsPlugin(libraries: string, plugin: Plugin): boolean {
  const names = libraries.split(",").map((name) => name.trim().replaceAll('"', ""));
  return names.includes(plugin) || names.includes("*");
}

/** What a source server must have, in the order in which a person would mend it. */
export const sourceServerChecks: readonly SourceCheck[] = [
  version,
  recovery,
  walLevel,
  replicationRight,
  freeSlots,
  freeSenders,
  pluginAllowed,
  preparedTransactions,
  longTransactions,
  walSenderTimeout,
  slotWalLimit,
  decodingMemory,
  wraparound,
];
