import { afterEach, beforeEach, expect, inject, test } from "vitest";
import { SourceMonitor } from "../../../worker/source/monitor.ts";
import { createDatabase, type TestDatabase } from "../../setup/databases.ts";

let source: TestDatabase;
beforeEach(async () => {
  source = await createDatabase("source", inject("postgres13Port"));
});
afterEach(() => source.drop());

const sessions = async (): Promise<number | null> =>
  (await source.query("SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pgdms: monitor'")).rowCount;

test("a monitor that is closed while it opens its session leaves none behind", async () => {
  let givePassword: () => void = () => undefined;
  const password = new Promise<undefined>((resolve) => (givePassword = () => resolve(undefined)));
  const monitor = new SourceMonitor({ ...source.server, password: () => password }, { slot: "none", task: "none" });
  const reading = monitor.read();
  const closing = monitor.close();
  givePassword();
  await Promise.all([reading, closing]);
  await expect.poll(sessions).toBe(0);
});

test("a monitor whose session broke opens another one", async () => {
  const monitor = new SourceMonitor(source.server, { slot: "none", task: "none" });
  expect(await monitor.read()).toMatchObject({ hasSlot: false });
  await source.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgdms: monitor' AND datname = current_database()",
  );
  await expect.poll(async () => (await monitor.read())?.hasSlot).toBe(false);
  await monitor.close();
  await expect.poll(sessions).toBe(0);
});
