import { randomBytes } from "node:crypto";
import { type Page } from "playwright-core";
import pg from "pg";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { startEnvironment, type Environment } from "../../local/environment.ts";
import { startBrowser, type Browser } from "./chromium.ts";
import {
  counter,
  createProjectOnly,
  createService,
  cutOver,
  downloadReport,
  giveSource,
  giveTheRestAndStart,
  stopAndStart,
  type TutorialPlan,
} from "./tutorial.ts";

// The whole tutorial in a real browser, on the real control plane, a real worker and real servers.

const database = `listdb_${randomBytes(4).toString("hex")}`;
const schema = `
  CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL);
  CREATE TABLE lists (id serial PRIMARY KEY, owner_id int NOT NULL REFERENCES users, title text);
  CREATE TABLE list_items (id bigserial PRIMARY KEY, list_id int NOT NULL REFERENCES lists, note text, price numeric(20, 4));
  CREATE INDEX list_items_note ON list_items (note);
  CREATE TABLE audit_log (at timestamptz, what text);
  CREATE TABLE scratch (id int PRIMARY KEY)`;
const rows = `
  INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 500) n;
  INSERT INTO lists (owner_id, title) SELECT 1 + n % 500, 'list ' || n FROM generate_series(1, 2000) n;
  INSERT INTO list_items (list_id, note, price) SELECT 1 + n % 2000, repeat('note ', 20) || n, n / 7.0 FROM generate_series(1, 100000) n;
  INSERT INTO audit_log SELECT now(), 'event ' || n FROM generate_series(1, 1000) n`;

let environment: Environment;
let browser: Browser;
let page: Page;
let source: pg.Client;
let target: pg.Client;
let plan: TutorialPlan;
const problems: string[] = [];

const clientOf = async (port: number, name: string): Promise<pg.Client> => {
  const client = new pg.Client({ host: "127.0.0.1", port, user: "postgres", database: name });
  client.on("error", () => undefined); // the fence of a cutover ends it
  await client.connect();
  return client;
};

async function makeDatabase(port: number): Promise<pg.Client> {
  const admin = await clientOf(port, "postgres");
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  const client = await clientOf(port, database);
  await client.query(schema); // tutorial: psql < listdbSchema.sql, on both sides
  return client;
}

beforeAll(async () => {
  const ports = { source: inject("postgres13Port"), target: inject("postgres17Port") };
  const login = { host: "127.0.0.1", user: "postgres", password: "not-asked-for", encrypt: false };
  [environment, browser, source, target] = await Promise.all([
    startEnvironment({ port: 0 }),
    startBrowser(),
    makeDatabase(ports.source),
    makeDatabase(ports.target),
  ]);
  await source.query(rows);
  plan = {
    url: `${environment.url}/portal`,
    service: "dms-tutorial",
    project: "pg-classic",
    database,
    source: { ...login, port: ports.source },
    target: { ...login, port: ports.target },
  };
  page = await browser.context.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) =>
    message.type() === "error" && !message.text().includes("404") ? problems.push(message.text()) : undefined,
  );
  page.on("request", (request) =>
    request.url().startsWith(environment.url) || request.url().startsWith("blob:") ? undefined : problems.push(request.url()),
  );
}, 180_000);

afterAll(async () => {
  // Whatever has come up goes down, also when something else did not.
  await Promise.allSettled([browser?.close(), source?.end(), target?.end(), environment?.stop()]);
});

test("the whole tutorial is done on the page, from the service to the report", { timeout: 300_000 }, async () => {
  await createService(page, plan);
  await stopAndStart(page);
  await createProjectOnly(page, plan);
  const { keptServer, keptPassword } = await giveSource(page, plan);
  expect(keptServer).toBe("127.0.0.1");
  expect(keptPassword).toBe("");
  await giveTheRestAndStart(page, plan, async (wizard) => {
    await wizard.getByText("1 selected table has no usable key.").waitFor();
    await wizard.getByRole("button", { name: "With rows", exact: true }).click();
    await wizard.getByText(/^4 of 5 tables selected/).waitFor();
    await wizard.getByRole("button", { name: "All", exact: true }).click();
    await wizard.getByLabel("Updates and deletes of a row").selectOption("insertsOnly");
  });

  await page.getByText("Ready to cutover").first().waitFor({ timeout: 120_000 });
  await page.getByRole("tab", { name: "Full data load" }).click();
  await expect.poll(() => counter(page, "Full load completed"), { timeout: 20_000 }).toBe(5);
  await page.getByRole("cell", { name: "100,000" }).waitFor();

  await source.query("INSERT INTO users (name) SELECT 'late ' || n FROM generate_series(1, 40) n");
  await source.query("UPDATE lists SET title = 'renamed' WHERE id <= 30");
  await source.query("DELETE FROM list_items WHERE id <= 20");
  await page.getByRole("tab", { name: "Incremental data sync" }).click();
  await expect.poll(() => counter(page, "Incremental inserts"), { timeout: 20_000 }).toBe(40);
  await expect.poll(() => counter(page, "Incremental updates"), { timeout: 20_000 }).toBe(30);
  await expect.poll(() => counter(page, "Incremental deletes"), { timeout: 20_000 }).toBe(20);
  await expect.poll(() => counter(page, "Pending changes"), { timeout: 20_000 }).toBe(0);

  await cutOver(page);
  const report = await downloadReport(page);
  await page.getByText("Source and target are equal.").waitFor();
  await page.getByText(/^\d+ definitions are the same on both sides\.$/).waitFor();
  expect(report).toMatchObject({ databaseName: database, cutover: { tablesDifferent: 0 } });
  expect((report as { tables: { name: string; comparison: unknown }[] }).tables).toContainEqual(
    expect.objectContaining({
      name: "list_items",
      comparison: expect.objectContaining({ sourceRows: "99980", targetRows: "99980", equal: true }) as unknown,
    }),
  );
  const found = await target.query("SELECT (SELECT count(*) FROM users) AS users, nextval('users_id_seq') AS next");
  expect(found.rows).toEqual([{ users: "540", next: "541" }]);
  await expect(source.query("SELECT 1")).rejects.toThrow(); // the fence has ended every session
  source = await clientOf(inject("postgres13Port"), database);
  expect((await source.query("SHOW default_transaction_read_only")).rows).toEqual([{ default_transaction_read_only: "on" }]);
  await source.query("SET default_transaction_read_only = off");
  await source.query(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
  expect((await source.query("SELECT FROM pg_replication_slots WHERE database = current_database()")).rowCount).toBe(0);
  expect(problems).toEqual([]);
});

test(
  "a migration is cancelled on the page, and nothing of it stays on the source; restarted, it is ready again",
  { timeout: 180_000 },
  async () => {
    await target.query("TRUNCATE users, lists, list_items, audit_log");
    await page.goto(`${plan.url}/`);
    await page.getByRole("link", { name: plan.service }).click();
    await page.getByRole("button", { name: "New migration" }).first().click();
    await page.getByLabel("Project name").fill(plan.project);
    await page.getByRole("button", { name: /^Next: / }).click();
    for (const server of [plan.source, plan.target]) {
      const encryption = page.getByLabel("Encrypt connection");
      if (await encryption.isChecked()) await encryption.click();
      await page.getByLabel("Server name").fill(server.host);
      await page.getByLabel("Server port").fill(String(server.port));
      await page.getByLabel("User name").fill(server.user);
      await page.locator("input[type=password]").fill(server.password);
      await page.getByRole("button", { name: "Test connection" }).click();
      await page.getByText(/^Connected to PostgreSQL/).waitFor();
      await page.getByRole("button", { name: /^Next: / }).click();
    }
    await page.getByRole("checkbox", { name: `Move ${database}` }).check();
    await page.getByRole("button", { name: /^Next: / }).click();
    await page.getByText(/tables selected/).waitFor();
    await page.getByLabel("Updates and deletes of a row").selectOption("insertsOnly");
    await page.getByRole("button", { name: "Next: Settings" }).click();
    await page.getByRole("button", { name: "Next: Summary" }).click();
    await page.getByLabel("Activity name").fill("to-be-cancelled");
    await page.getByRole("button", { name: "Start migration" }).click();
    await page.getByText("Ready to cutover").first().waitFor({ timeout: 120_000 });
    await page.getByRole("button", { name: "Cancel migration" }).click();
    const dialog = page.getByRole("alertdialog");
    await dialog.getByLabel("I want to cancel this migration").check();
    await dialog.getByRole("button", { name: "Cancel migration" }).click();
    await page.getByText("Canceled").first().waitFor({ timeout: 60_000 });
    const slots = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()";
    expect((await source.query(slots)).rows).toEqual([]);
    await page.getByRole("button", { name: "Restart" }).click();
    await dialog.getByLabel("Password on the source").fill(plan.source.password);
    await dialog.getByLabel("Password on the target").fill(plan.target.password);
    await dialog.getByRole("button", { name: "Restart" }).click();
    await page.getByText("Ready to cutover").first().waitFor({ timeout: 120_000 });
    expect((await source.query(slots)).rows).toHaveLength(1);
    const kept = "SELECT table_name FROM pgdms.table_load WHERE state = 'done' AND rows > 0 AND bytes > 0";
    expect((await target.query(kept)).rows).toEqual([]); // nothing was copied again
    await page.getByRole("button", { name: "Cancel migration" }).click();
    await dialog.getByLabel("I want to cancel this migration").check();
    await dialog.getByRole("button", { name: "Cancel migration" }).click();
    await page.getByText("Canceled").first().waitFor({ timeout: 60_000 });
    expect((await source.query(slots)).rows).toEqual([]);
    expect(problems).toEqual([]);
  },
);
