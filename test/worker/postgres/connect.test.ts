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

test("what a role or database sets for its sessions does not change how values are read", async () => {
  for (const setting of [
    "datestyle = 'SQL, DMY'",
    "intervalstyle = 'iso_8601'",
    "bytea_output = 'escape'",
    "timezone = 'Asia/Tokyo'",
    "extra_float_digits = -3",
  ])
    await pair.source.query(`ALTER DATABASE ${pair.source.name} SET ${setting}`);
  const settings = ["datestyle", "intervalstyle", "bytea_output", "timezone", "extra_float_digits"];
  const values = await Promise.all(settings.map((name) => settingOf(pair.source.server, name)));
  expect(values).toEqual(["ISO, MDY", "postgres", "hex", "UTC", "3"]);
});
