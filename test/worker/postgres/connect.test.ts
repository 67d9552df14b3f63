import { afterAll, beforeAll, expect, test } from "vitest";
import { withConnection } from "../../../worker/postgres/connect.ts";
import { type Server } from "../../../worker/postgres/server.ts";
import { createPair } from "../../setup/databases.ts";

let pair: Awaited<ReturnType<typeof createPair>>;
beforeAll(async () => (pair = await createPair()));
afterAll(() => pair.drop());

const settingOf = (server: Server, name: string): Promise<string> =>
  withConnection(server, { purpose: "test" }, async (client) => {
    const { rows } = await client.query<{ value: string }>("SELECT current_setting($1) AS value", [name]);
    return rows[0]?.value ?? "";
  });

test.each([
  ["off", "on"],
  ["local", "local"],
  ["remote_apply", "remote_apply"],
])("a target that is set to synchronous_commit=%s commits with %s: the source forgets what was committed", async (set, used) => {
  await pair.target.query(`ALTER DATABASE ${pair.target.name} SET synchronous_commit = ${set}`);
  expect(await settingOf(pair.target.server, "synchronous_commit")).toBe(used);
});

test.each([
  ["datestyle", "SQL, DMY", "ISO, MDY"],
  ["intervalstyle", "iso_8601", "postgres"],
  ["bytea_output", "escape", "hex"],
  ["timezone", "Asia/Tokyo", "UTC"],
  ["extra_float_digits", "-3", "3"],
  ["array_nulls", "off", "on"],
  ["standard_conforming_strings", "off", "on"],
  ["quote_all_identifiers", "on", "off"],
  ["default_transaction_isolation", "serializable", "read committed"],
  ["xmloption", "document", "content"],
])("a database that is set to %s = %s does not change how values are read: our sessions have %s", async (name, set, used) => {
  await pair.source.query(`ALTER DATABASE ${pair.source.name} SET ${name} = '${set}'`);
  expect(await settingOf(pair.source.server, name)).toBe(used);
});
