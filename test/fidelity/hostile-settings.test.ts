import { afterEach, beforeEach, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";
import { differences, type Engine, type Pair, startEngine } from "./engine.ts";

/** What roles and databases are set to by their owners, with the right to do so. Each would change values, or lose them. */
const HOSTILE = [
  "datestyle = 'German, YMD'",
  "intervalstyle = 'sql_standard'",
  "bytea_output = 'escape'",
  "timezone = 'America/St_Johns'",
  "extra_float_digits = -15",
  "array_nulls = off",
  "standard_conforming_strings = off",
  "quote_all_identifiers = on",
  "default_transaction_isolation = serializable",
  "xmloption = document",
  "row_security = on",
  "search_path = nowhere",
  "statement_timeout = '5s'",
  "lock_timeout = '5s'",
  "idle_in_transaction_session_timeout = '1s'",
  "synchronous_commit = off",
  "client_encoding = 'LATIN1'",
];

const TABLE = `public."t\\x'"`;
const SCHEMA = `CREATE TABLE ${TABLE} (id int PRIMARY KEY, at timestamptz, span interval, b bytea, f float8, texts text[], x xml, m money, d date)`;
const row = (id: string): string =>
  `INSERT INTO ${TABLE} SELECT ${id}, '0044-03-15 12:00 BC'::timestamptz + g * interval '1 day', '-1 mon +2 days 03:04:05.678', '\\x005c27ff', pi() / g,
     ARRAY[NULL, 'NULL', '', 'null', E'a\\\\b'], 'a<b/>c', '-1234.56', '-infinity' FROM generate_series(1, 30) g`;

let pair: Pair & { drop(): Promise<void> };
let engine: Engine | undefined;
beforeEach(async () => (pair = await createPair()));
afterEach(async () => {
  await engine?.stop();
  await pair.drop();
});

test.each(["pgoutput", "test_decoding"] as const)("settings of databases change no value, by load and by %s", async (plugin) => {
  for (const side of [pair.source, pair.target]) await side.query(`SET standard_conforming_strings = on; ${SCHEMA}`);
  await pair.source.query(row("g"));
  for (const side of [pair.source, pair.target])
    for (const setting of HOSTILE) await side.query(`ALTER DATABASE ${side.name} SET ${setting}`);
  engine = await startEngine(pair, { plugin });
  await pair.source.query(row("g + 100"));
  await pair.source.query(row("g + 200"));
  await pair.source.query(`UPDATE ${TABLE} SET texts = texts || NULL WHERE id % 2 = 0`);
  await engine.drain();
  expect(await differences(pair, [TABLE])).toEqual([]);
});
