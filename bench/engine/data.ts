/**
 * The data of the bench. Everything follows from row numbers and fixed seeds, so that two runs have the same rows.
 * Statements are for PostgreSQL 14 and later.
 */

export interface LoadSizes {
  readonly narrowRows: number;
  readonly wideRows: number;
  readonly indexedRows: number;
}

/** One huge narrow table, one wide one with TOAST, one with many indexes. */
export const loadSchema = `
  CREATE TABLE narrow (aid int PRIMARY KEY, bid int NOT NULL, abalance int NOT NULL, filler char(84) NOT NULL);
  CREATE TABLE wide (
    id bigint PRIMARY KEY, key uuid NOT NULL, name text NOT NULL, document jsonb, raw bytea, amount numeric(14, 4),
    changed timestamptz NOT NULL, is_open bool, n int, ratio float8, tags text[], body text);
  CREATE INDEX wide_key ON wide (key);
  CREATE INDEX wide_changed ON wide (changed, n);
  CREATE INDEX wide_name ON wide (lower(name));
  CREATE TABLE indexed (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a int NOT NULL, b int NOT NULL, c text NOT NULL UNIQUE, d timestamptz NOT NULL,
    e numeric(12, 2), f uuid NOT NULL);
  CREATE INDEX indexed_a ON indexed (a);
  CREATE INDEX indexed_b ON indexed (b, a);
  CREATE INDEX indexed_d ON indexed (d);
  CREATE INDEX indexed_e ON indexed (e) WHERE e > 100;
  CREATE INDEX indexed_f ON indexed (f);
  CREATE INDEX indexed_af ON indexed (a, f);`;

export const loadRows = ({ narrowRows, wideRows, indexedRows }: LoadSizes): string[] => [
  `INSERT INTO narrow SELECT i, i % 50 + 1, (i * 7919::bigint % 10000)::int, '' FROM generate_series(1, ${narrowRows}) i`,
  `INSERT INTO wide SELECT i, md5(i::text)::uuid, 'name ' || i % 10007 || ' ' || md5((i * 3)::text),
          jsonb_build_object('a', i, 'b', md5((i * 5)::text), 'c', jsonb_build_array(i % 7, i % 11)), decode(md5((i * 7)::text), 'hex'),
          (i * 104729::bigint % 100000000) / 10000.0, '2024-01-01'::timestamptz + i * interval '7 seconds', i % 3 = 0, (i * 7919::bigint % 1000000)::int,
          i / 3.0, ARRAY[md5((i % 100)::text), 't' || i % 10],
          CASE WHEN i % 20 = 0 THEN (SELECT string_agg(md5((i * 1000::bigint + j)::text), '') FROM generate_series(1, 90) j)
               ELSE repeat(md5((i * 11)::text), 4) END
     FROM generate_series(1, ${wideRows}) i`,
  `INSERT INTO indexed (a, b, c, d, e, f) SELECT (i * 7919::bigint % 1000003)::int, i % 5003, 'c' || md5(i::text),
          '2024-01-01'::timestamptz + (i * 104729::bigint % 31536000) * interval '1 second', (i * 6007::bigint % 50000) / 100.0, md5((i * 13)::text)::uuid
     FROM generate_series(1, ${indexedRows}) i`,
  "VACUUM (FREEZE, ANALYZE)",
];

/** Many small tables, each with a key, an index and a few rows. */
export const smallTablesSchema = (count: number): string[] =>
  inSteps(
    count,
    (from, to) => `DO $$ BEGIN FOR i IN ${from}..${to} LOOP
      EXECUTE format('CREATE TABLE small_%s (id int PRIMARY KEY, a text NOT NULL, b int, changed timestamptz)', i);
      EXECUTE format('CREATE INDEX ON small_%s (b)', i);
    END LOOP; END $$`,
  );

export const smallTablesRows = (count: number, rows: number): string[] => [
  ...inSteps(
    count,
    (from, to) => `DO $$ BEGIN FOR i IN ${from}..${to} LOOP
      EXECUTE format('INSERT INTO small_%s SELECT j, md5(j::text), j %% 17, ''2024-01-01'' FROM generate_series(1, ${rows}) j', i);
    END LOOP; END $$`,
  ),
  "ANALYZE",
];

/** One transaction must not hold more locks than a server has. */
function inSteps(count: number, statement: (from: number, to: number) => string): string[] {
  const step = 500;
  return Array.from({ length: Math.ceil(count / step) }, (_, n) => statement(n * step + 1, Math.min(count, (n + 1) * step)));
}

export interface DrainSizes {
  /** Rows of the TPC-B accounts. */
  readonly accounts: number;
  /** Transactions of four changes each. */
  readonly tpcb: number;
  readonly inserts: number;
  readonly updates: number;
  readonly deletes: number;
  /** Transactions of one row. */
  readonly small: number;
}

export const DRAINS = ["tpcb", "ins", "upd", "del", "small"] as const;
export type Drain = (typeof DRAINS)[number];

export const drainSchema = `
  CREATE TABLE branches (bid int PRIMARY KEY, bbalance int NOT NULL, filler char(88));
  CREATE TABLE tellers (tid int PRIMARY KEY, bid int NOT NULL, tbalance int NOT NULL, filler char(84));
  CREATE TABLE accounts (aid int PRIMARY KEY, bid int NOT NULL, abalance int NOT NULL, filler char(84));
  CREATE TABLE history (hid bigint PRIMARY KEY, tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
  CREATE TABLE bulk_ins (id bigint PRIMARY KEY, a int NOT NULL, b text NOT NULL, c timestamptz NOT NULL, d numeric(12, 2));
  CREATE TABLE bulk_upd (id bigint PRIMARY KEY, a int NOT NULL, b text NOT NULL, c timestamptz NOT NULL, d numeric(12, 2));
  CREATE TABLE bulk_del (id bigint PRIMARY KEY, a int NOT NULL, b text NOT NULL, c timestamptz NOT NULL, d numeric(12, 2));
  CREATE TABLE single (id bigint PRIMARY KEY, a int NOT NULL, b text NOT NULL);
  CREATE TABLE latency (id bigint PRIMARY KEY, a text NOT NULL);
  CREATE TABLE marker (id int PRIMARY KEY);`;

const bulkRows = (from: number, to: number): string =>
  `SELECT i, (i % 1000)::int, md5(i::text), '2024-01-01'::timestamptz + i * interval '1 second', i / 100.0 FROM generate_series(${from}::bigint, ${to}) i`;

/** Rows that are there before the changes; the same on both sides. */
export const drainRows = ({ accounts, updates, deletes }: DrainSizes, rounds: number): string[] => [
  "INSERT INTO branches SELECT i, 0, '' FROM generate_series(1, 10) i",
  "INSERT INTO tellers SELECT i, (i - 1) / 10 + 1, 0, '' FROM generate_series(1, 100) i",
  `INSERT INTO accounts SELECT i, i % 10 + 1, 0, '' FROM generate_series(1, ${accounts}) i`,
  `INSERT INTO bulk_upd ${bulkRows(1, updates)}`,
  `INSERT INTO bulk_del ${bulkRows(1, deletes * rounds)}`,
  "VACUUM (FREEZE, ANALYZE)",
];

/** Loops that commit: they make the WAL of as many transactions of clients, faster than clients could. Only the source has them. */
export const drainProcedures = `
  CREATE PROCEDURE bench_tpcb(seed int, count int, accounts int) LANGUAGE plpgsql AS $$
  DECLARE account int; teller int; branch int; change int;
  BEGIN
    PERFORM setseed((seed % 1000) / 1000.0);
    FOR i IN 1..count LOOP
      account := 1 + floor(random() * accounts)::int; teller := 1 + floor(random() * 100)::int;
      branch := 1 + floor(random() * 10)::int; change := floor(random() * 10000)::int - 5000;
      UPDATE accounts SET abalance = abalance + change WHERE aid = account;
      UPDATE tellers SET tbalance = tbalance + change WHERE tid = teller;
      UPDATE branches SET bbalance = bbalance + change WHERE bid = branch;
      INSERT INTO history VALUES (seed * 100000000::bigint + i, teller, branch, account, change, clock_timestamp(), '');
      COMMIT;
    END LOOP;
  END $$;
  CREATE PROCEDURE bench_single(seed int, count int) LANGUAGE plpgsql AS $$
  BEGIN
    FOR i IN 1..count LOOP
      INSERT INTO single VALUES (seed * 100000000::bigint + i, i % 1000, md5(i::text));
      COMMIT;
    END LOOP;
  END $$;`;

/** The statements of one backlog. Rounds touch other rows or the same rows again, never none. */
export function backlog(drain: Drain, sizes: DrainSizes, round: number): string {
  switch (drain) {
    case "tpcb":
      return `CALL bench_tpcb(${round + 1}, ${sizes.tpcb}, ${sizes.accounts})`;
    case "ins":
      return `INSERT INTO bulk_ins ${bulkRows(round * sizes.inserts + 1, (round + 1) * sizes.inserts)}`;
    case "upd":
      return "UPDATE bulk_upd SET a = a + 1, b = md5(b)";
    case "del":
      return `DELETE FROM bulk_del WHERE id BETWEEN ${round * sizes.deletes + 1} AND ${(round + 1) * sizes.deletes}`;
    case "small":
      return `CALL bench_single(${round + 1}, ${sizes.small})`;
  }
}

/** Changes that a backlog holds. */
export const changesOf = (drain: Drain, sizes: DrainSizes): number =>
  ({ tpcb: 4 * sizes.tpcb, ins: sizes.inserts, upd: sizes.updates, del: sizes.deletes, small: sizes.small })[drain];

/** A fingerprint of all rows of all tables that are followed: the same on both sides, or somebody lost something. */
export const drainFingerprint = ["branches", "tellers", "accounts", "history", "bulk_ins", "bulk_upd", "bulk_del", "single"]
  .map(
    (table) =>
      `SELECT '${table}' AS name, count(*)::text AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS sum FROM ${table} t`,
  )
  .join(" UNION ALL ")
  .concat(" ORDER BY name");
