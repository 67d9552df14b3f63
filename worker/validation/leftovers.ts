import { quoteLiteral, quoteName } from "../postgres/quote.ts";
import { insertsPublication } from "../source/publication.ts";
import { readSlotBeside } from "../source/slot.ts";
import { type FindingDraft, type End, type MigrationContext, type PairCheck } from "./check.ts";

/** Slots and publications of ours begin with this. */
const OUR_PREFIX = "pgdms_";

/**
 * What an earlier run left. Another migration of the same source database, to another target, may be under way: its slot
 * is read, or sessions of its task are there (nobody reads the slot while the tables are loaded). That is allowed, and
 * told. What belongs to this very task is no leftover.
 */
export const leftovers: PairCheck = {
  kind: "LeftoverOfEarlierRun",
  scope: "both",
  alsoOnResume: true,
  alsoFinds: ["AnotherMigrationRuns"],
  run: async (context) => [...(await onSource(context)), ...onTarget(context)],
};

/** A slot or publication of ours on the source. */
interface Remnant {
  readonly kind: "slot" | "publication";
  readonly name: string;
  /** The migration that it belongs to is at work. */
  readonly isInUse: boolean;
}

async function onSource({ source, bookkeeping, ownTaskId }: MigrationContext): Promise<FindingDraft[]> {
  const own = bookkeeping?.taskId === ownTaskId ? [bookkeeping.slot, bookkeeping.publication].map(migrationOf) : [];
  const others = (await readRemnants(source)).filter(({ name }) => !own.includes(migrationOf(name)));
  const running = new Set(others.filter(({ isInUse }) => isInUse).map(({ name }) => migrationOf(name)));
  const left = others.filter(({ name }) => !running.has(migrationOf(name)));
  const slots = left.filter(({ kind }) => kind === "slot").map(({ name }) => name);
  const publications = left.filter(({ kind }) => kind === "publication").map(({ name }) => name);
  const drafts: FindingDraft[] = [];
  if (running.size > 0) drafts.push({ kind: "AnotherMigrationRuns", detail: `Its slot: ${[...running].join(", ")}.` });
  if (slots.length > 0) {
    const remedy = slots.map((name) => `SELECT pg_drop_replication_slot(${quoteLiteral(name)});`).join(" ");
    drafts.push({
      detail: `On the source these slots keep WAL and nobody reads them: ${slots.join(", ")}.`,
      remedy: `On the source: ${remedy}`,
    });
  }
  if (publications.length > 0) {
    const remedy = publications.map((name) => `DROP PUBLICATION ${quoteName(name)};`).join(" ");
    drafts.push({ detail: `The source has the publications ${publications.join(", ")}.`, remedy: `On the source: ${remedy}` });
  }
  return drafts;
}

/** Slot and publications of a migration have one name; its second publication and the slots of its snapshots have an ending. */
const migrationOf = (name: string): string =>
  name.endsWith(INSERTS) ? name.slice(0, -INSERTS.length) : (readSlotBeside(name)?.slot ?? name);
const INSERTS = insertsPublication("");

/** How many of the task's digits the names of slots and sessions share. */
const TASK_DIGITS = 8;

/**
 * Sessions of a migration on the source: `pgdms: <first digits of the task> …`, and while it loads, the one that holds the
 * snapshot, `pgdms: slot <slot>`. Names of sessions are shown to every role.
 */
const HAS_SESSIONS = (name: string): string => `EXISTS (
  SELECT FROM pg_stat_activity a
   WHERE a.datname = current_database()
     AND (left(a.application_name, ${7 + TASK_DIGITS}) = 'pgdms: ' || substr(${name}, ${OUR_PREFIX.length + 1}, ${TASK_DIGITS})
          OR a.application_name = left('pgdms: slot ' || ${name}, 63)))`;

async function readRemnants({ client, versionNum }: End): Promise<Remnant[]> {
  const ours = (name: string): string => `left(${name}, ${OUR_PREFIX.length}) = '${OUR_PREFIX}'`;
  const slots = `
    SELECT 'slot' AS kind, slot_name::text AS name, active OR ${HAS_SESSIONS("slot_name::text")} AS is_in_use
      FROM pg_replication_slots WHERE database = current_database() AND ${ours("slot_name::text")}`;
  const publications = `
    SELECT 'publication', pubname::text, ${HAS_SESSIONS("pubname::text")} FROM pg_publication WHERE ${ours("pubname::text")}`;
  const { rows } = await client.query<{ kind: Remnant["kind"]; name: string; is_in_use: boolean }>(
    `${slots}${versionNum >= 100_000 ? ` UNION ALL ${publications}` : ""} ORDER BY 2`,
  );
  return rows.map(({ kind, name, is_in_use }) => ({ kind, name, isInUse: is_in_use }));
}

function onTarget({ bookkeeping, ownTaskId, earlierTaskIds }: MigrationContext): FindingDraft[] {
  if (bookkeeping === undefined || [ownTaskId, ...earlierTaskIds].includes(bookkeeping.taskId)) return [];
  return [
    {
      detail: `The target database belongs to the task ${bookkeeping.taskId} (phase ${bookkeeping.phase}).`,
      remedy:
        "End that task; if it is gone: on the target read pgdms.deferred_ddl for definitions that are still owed, then DROP SCHEMA pgdms CASCADE;",
    },
  ];
}
