import { describe, expect, test } from "vitest";
import { FAULT_POINTS, type FaultPoint } from "../../worker/fault-points.ts";
import { differences, type Pair, type Plugin, streamEverything } from "../fidelity/engine.ts";
import { createPairFrom, type TestDatabase } from "../setup/databases.ts";
import { casesOf } from "../setup/thorough.ts";
import { type Fault, walk } from "./fault-walk.ts";

const TABLES = ["large", "small", "keyless"];

/** A table that is large enough for its index to be set aside, and a trigger whose rows double when it fires on the target. */
const SCHEMA = `
  CREATE TABLE large (id int PRIMARY KEY, amount int, note text);
  CREATE INDEX large_amount ON large (amount);
  CREATE TABLE keyless (note text);
  CREATE TABLE small (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, large_id int REFERENCES large, note text UNIQUE);
  CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.keyless VALUES (''told of '' || NEW.id); RETURN NULL; END';
  CREATE TRIGGER tell AFTER INSERT ON small FOR EACH ROW EXECUTE FUNCTION tell();
  ALTER TABLE small ENABLE ALWAYS TRIGGER tell`;

/** More than are set in one go. */
const SEQUENCES = `
  CREATE SCHEMA counters;
  DO $$ BEGIN FOR n IN 1..205 LOOP EXECUTE format('CREATE SEQUENCE counters.s%s', n); END LOOP; END $$`;

const ROWS = `
  INSERT INTO large SELECT g, g % 100, repeat('x', 900) FROM generate_series(1, 1400) g;
  INSERT INTO small (large_id, note) SELECT g, 'small ' || g FROM generate_series(1, 100) g;
  INSERT INTO keyless SELECT 'keyless ' || g FROM generate_series(1, 50) g`;

/** Enough for several sessions. */
const MANY_CHANGES = "UPDATE large SET amount = amount + 1";

const CHANGES = `
  UPDATE large SET amount = amount + 1 WHERE id <= 20;
  DELETE FROM small WHERE id IN (SELECT id FROM small ORDER BY id LIMIT 10);
  INSERT INTO small (large_id, note) SELECT g, 'changed ' || random() FROM generate_series(1, 10) g`;

/** What a database has besides its rows, as text. */
async function definitions(database: TestDatabase): Promise<unknown[]> {
  const { rows } = await database.query(`
    SELECT format('index %s, valid %s', pg_get_indexdef(indexrelid), indisvalid) AS is
      FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT format('%s %s, valid %s', conname, pg_get_constraintdef(oid), convalidated)
      FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL SELECT format('%s, enabled %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT format('%s at %s', sequencename, last_value) FROM pg_sequences
    UNION ALL SELECT format('%s, identity %s', relname, relreplident) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace`);
  return rows.map((row) => row["is"]);
}

/** What a migration would leave behind. */
async function leftovers({ source, target }: Pair): Promise<unknown[]> {
  const { rows: onSource } = await source.query(`
    SELECT slot_name AS name FROM pg_replication_slots WHERE database = current_database() UNION ALL SELECT pubname FROM pg_publication`);
  const { rows: onTarget } = await target.query("SELECT nspname AS name FROM pg_namespace WHERE nspname = 'pgdms'");
  return [...onSource, ...onTarget].map(({ name }) => name);
}

const minus = (some: readonly unknown[], others: readonly unknown[]): unknown[] => some.filter((one) => !others.includes(one));

/** What is right after a migration that met faults. */
const RIGHT = { end: "COMPLETE", codes: [], notHit: [], differences: [], missing: [], surplus: [], leftovers: [] };

/** The target has the rows of a table already. @returns the settings by which the table is kept. */
async function keepKeyless({ source, target }: Pick<Pair, "source" | "target">): Promise<Record<string, string>> {
  const { rows } = await source.query("SELECT note FROM keyless");
  await target.query("INSERT INTO keyless SELECT unnest($1::text[])", [rows.map(({ note }) => note)]);
  return { onExistingRows: "keepEqual" };
}

/** One migration that is hit at the points, and what it looks like afterwards. */
async function migrateHit({ source, target }: Pair, plugin: Plugin, fault: Fault, points: readonly FaultPoint[]): Promise<unknown> {
  const sides = [source, target];
  await target.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${SCHEMA}`);
  if (points.includes("sequences-half-set")) for (const side of sides) await side.query(SEQUENCES);
  await source.query("SELECT nextval(oid::regclass) FROM pg_class WHERE relkind = 'S'");
  const migrationSetting = points.includes("table-kept") ? await keepKeyless({ source, target }) : {};
  const write = async (): Promise<void> => {
    await source.query(MANY_CHANGES);
    await source.query(CHANGES);
  };
  const targetSetting = { applyLanes: points.includes("lanes-half-committed") ? "3" : "1" };
  const walked = await walk({ source, target }, { plugin, fault, points, migrationSetting, targetSetting, write });
  const [ours, theirs] = [await definitions(source), await definitions(target)];
  const found = {
    end: walked.end,
    codes: walked.codes,
    notHit: walked.notHit,
    differences: await differences({ source, target }, TABLES),
    missing: minus(ours, theirs),
    surplus: minus(theirs, ours),
    leftovers: await leftovers({ source, target }),
  };
  for (const side of sides) await side.query("DROP SCHEMA IF EXISTS counters CASCADE");
  return found;
}

const points = Object.keys(FAULT_POINTS) as FaultPoint[];

/** The one point that every definition passes: keys, indexes, foreign keys and their validation, identities, triggers. */
const RESTORED_DEFINITIONS = 6;
const asOften = (point: FaultPoint): FaultPoint[] =>
  point === "constraints-half-restored" ? Array<FaultPoint>(RESTORED_DEFINITIONS).fill(point) : [point];

/** So many migrations meet all points: each one in every phase. */
const MIGRATIONS = 4;
const groups = Array.from({ length: MIGRATIONS }, (_, group) => points.filter((_point, n) => n % MIGRATIONS === group).flatMap(asOften));

/** Each fault, and each plugin. */
const ways = casesOf<{ plugin: Plugin; fault: Fault; source: "13" | "17" }>(
  [
    { plugin: "pgoutput", fault: "crash", source: "13" },
    { plugin: "test_decoding", fault: "answer lost", source: "13" },
  ],
  [
    { plugin: "pgoutput", fault: "answer lost", source: "17" },
    { plugin: "test_decoding", fault: "crash", source: "13" },
  ],
);

/** What has not happened by then will not happen, however busy the machine is. */
const LIMIT_MS = 600_000;

describe.concurrent("a migration that is hit between two durable writes goes on: both sides equal, nothing doubled, nothing left", () => {
  test.each(ways)("by $fault at every point, with $plugin from $source", { timeout: LIMIT_MS }, async ({ plugin, fault, source }) => {
    const pair = await createPairFrom(source);
    if (source === "17") await streamEverything(pair.source);
    await pair.source.query(`${SCHEMA}; ${ROWS}`);
    for (const group of groups)
      expect({ group, ...((await migrateHit(pair, plugin, fault, group)) as object) }).toEqual({ group, ...RIGHT });
    await pair.drop();
  });
});
