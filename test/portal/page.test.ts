import { type Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { builtPortal } from "./built-portal.ts";
import { startBrowser, type Browser } from "./chromium.ts";
import { connect, migrationAddress } from "./screens.ts";
import { startScriptedService, type ScriptedOptions, type ScriptedService } from "./scripted/service.ts";

// How the page behaves in a real browser, against a service that says what the test wants.

let folder: string;
let browser: Browser;
let page: Page;
let service: ScriptedService;
let problems: string[];

beforeAll(async () => {
  [folder, browser] = await Promise.all([builtPortal(), startBrowser()]);
}, 180_000);
afterAll(() => browser.close());

beforeEach(async () => {
  problems = [];
  page = await browser.context.newPage();
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => (message.type() === "error" ? problems.push(message.text()) : undefined));
});
afterEach(async () => {
  await page.evaluate("localStorage.clear()").catch(() => undefined);
  await page.close();
  await service.close();
});

const serve = async (options: Partial<ScriptedOptions> = {}): Promise<void> => {
  service = await startScriptedService({ folder, ...options });
};

/** The first screen may weigh this much on the wire. */
const firstLoadBytesMax = 300 * 1024;

test("the first screen weighs less than 300 KB, comes from its own server only, and breaks no policy", async () => {
  await serve({ prefix: "/gateway/dms" });
  const session = await page.context().newCDPSession(page);
  let receivedBytes = 0;
  const foreign: string[] = [];
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (receivedBytes += encodedDataLength));
  session.on("Network.requestWillBeSent", ({ request }) =>
    request.url.startsWith(service.url.replace("portal/", "")) ? undefined : foreign.push(request.url),
  );
  await session.send("Network.enable");
  await page.goto(service.url.replace(/\/$/, ""));
  await page.getByText("dms-archive").waitFor();
  console.log(`first screen: ${(receivedBytes / 1024).toFixed(0)} KiB on the wire`);
  expect(receivedBytes).toBeLessThan(firstLoadBytesMax);
  expect(receivedBytes).toBeGreaterThan(50 * 1024);
  expect(foreign).toEqual([]);
  expect(problems).toEqual([]);
});

test("what was typed is there after a reload, except the passwords, which are nowhere in the browser's storage", async () => {
  await serve();
  await page.goto(`${service.url}#/groups/rg-lists/services/dms-lists/new`);
  await page.getByLabel("Project name").fill("kept-project");
  await page.getByRole("button", { name: /^Next: / }).click();
  await connect(page, "old.example.net", 5433, "reader", "top-secret-1");
  await page.getByText("Connected to PostgreSQL 13.10").waitFor();
  await page.reload();
  await page.getByLabel("Server name").waitFor();
  expect(await page.getByLabel("Server name").inputValue()).toBe("old.example.net");
  expect(await page.getByLabel("Server port").inputValue()).toBe("5433");
  expect(await page.locator("input[type=password]").inputValue()).toBe("");
  expect(await page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")).not.toContain("top-secret-1");
  await page
    .getByRole("button", { name: "1 Project" })
    .or(page.getByRole("button", { name: "Project", exact: true }))
    .first()
    .click();
  expect(await page.getByLabel("Project name").inputValue()).toBe("kept-project");
});

test("a check that found problems shows each with its severity and a remedy that can be copied", async () => {
  await serve({ sourceHasProblems: true });
  await browser.context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(`${service.url}#/groups/rg-lists/services/dms-lists/new`);
  await page.getByLabel("Project name").fill("p1");
  await page.getByRole("button", { name: /^Next: / }).click();
  await connect(page, "old.example.net", 5432, "reader", "x");
  await page.getByText("Error · PG1103").waitFor();
  await page.getByText("Warning · PG1123").waitFor();
  expect(await page.getByText("PG1124").count()).toBe(0);
  await page.getByRole("button", { name: "Show 1 note" }).click();
  await page.getByText("Information · PG1124").waitFor();
  await page.getByRole("button", { name: "Copy what to do" }).first().click();
  expect(await page.evaluate("navigator.clipboard.readText()")).toBe("ALTER SYSTEM SET wal_level = logical; -- then restart the source");
});

test("only the chosen tables and the changed settings are sent", async () => {
  await serve();
  await page.goto(`${service.url}#/groups/rg-lists/services/dms-lists/new`);
  await page.getByLabel("Project name").fill("pg-online");
  await page.getByRole("button", { name: /^Next: / }).click();
  await connect(page, "old.example.net", 5432, "reader", "src-secret");
  await page.getByRole("button", { name: "Next: Target" }).click();
  await connect(page, "new.example.net", 5432, "writer", "tgt-secret");
  await page.getByRole("button", { name: "Next: Databases" }).click();
  await page.getByRole("checkbox", { name: "Move listdb" }).check();
  await page.getByRole("button", { name: "Next: Tables" }).click();
  await page.getByRole("button", { name: "None", exact: true }).click();
  await page.getByLabel("Search tables").fill("list");
  await page.getByRole("checkbox", { name: "Move public.lists" }).check();
  await page.getByRole("button", { name: "Next: Settings" }).click();
  await page.getByLabel("Fence").selectOption("readOnly");
  await page.getByRole("button", { name: "Load, apply and cutover" }).click();
  await page.getByLabel("Full load streams").fill("99");
  await page.getByText("a whole number from 1 to 32").waitFor();
  expect(await page.getByRole("button", { name: "Next: Summary" }).isDisabled()).toBe(true);
  await page.getByLabel("Full load streams").fill("8");
  await page.getByRole("button", { name: "Next: Summary" }).click();
  await page.getByLabel("Activity name").fill("move-lists");
  await page.getByRole("button", { name: "Start migration" }).click();
  await page.getByRole("heading", { name: "move-lists" }).waitFor();
  expect(service.put.get("move-lists")).toEqual({
    taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2",
    input: {
      sourceConnectionInfo: expect.objectContaining({ serverName: "old.example.net", password: "src-secret" }) as unknown,
      targetConnectionInfo: expect.objectContaining({ serverName: "new.example.net", password: "tgt-secret" }) as unknown,
      selectedDatabases: [
        {
          name: "listdb",
          targetDatabaseName: "listdb",
          selectedTables: [{ name: "public.lists" }],
          migrationSetting: { fence: "readOnly", fullLoadStreams: "8" },
          sourceSetting: {},
          targetSetting: {},
        },
      ],
    },
  });
  expect(await page.evaluate("JSON.stringify(localStorage)")).not.toContain("move-lists");
});

test("an activity of the same name is not started twice", async () => {
  await serve();
  await page.goto(`${service.url}#/groups/rg-lists/services/dms-lists/new`);
  await page.getByLabel("Project name").fill("pg-online");
  await page.getByRole("button", { name: /^Next: / }).click();
  await connect(page, "old.example.net", 5432, "reader", "x");
  await page.getByRole("button", { name: "Next: Target" }).click();
  await connect(page, "new.example.net", 5432, "writer", "x");
  await page.getByRole("button", { name: "Next: Databases" }).click();
  await page.getByRole("checkbox", { name: "Move listdb" }).check();
  for (const step of ["Tables", "Settings", "Summary"]) await page.getByRole("button", { name: `Next: ${step}` }).click();
  await page.getByLabel("Activity name").fill("ready");
  await page.getByRole("button", { name: "Start migration" }).click();
  await page.getByText("has an activity named ready already").waitFor();
  expect([...service.put.keys()]).not.toContain("ready");
});

test("a dialog is opened and left, and a database cut over, without a mouse", async () => {
  await serve();
  await page.goto(service.url);
  await page.getByText("dms-archive").waitFor();
  await page.keyboard.press("Tab");
  expect(await page.evaluate("document.activeElement.textContent")).toBe("Skip to content");
  await page.keyboard.press("Enter");
  await tabTo("Create");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "hidden" });
  await page.goto(migrationAddress(service, "ready"));
  await page.getByText("Ready to cutover").first().waitFor();
  await tabTo("Start cutover");
  await page.keyboard.press("Enter");
  await page.getByLabel(/^Confirm: /).waitFor();
  await page.getByLabel(/^Confirm: /).focus();
  await page.keyboard.press("Space");
  await tabTo("Apply");
  await page.keyboard.press("Enter");
  await page.getByText("Cutover in progress").waitFor();
});

async function tabTo(text: string): Promise<void> {
  for (let press = 0; press < 40; press++) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate("document.activeElement.textContent.trim()")) === text) return;
  }
  throw new Error(`${text} is not reached by Tab`);
}

test("while the service is gone the last figures stay, and the page goes on by itself when it is back", async () => {
  await serve();
  await page.goto(migrationAddress(service, "loading"));
  await page.getByText("copying tables").first().waitFor();
  service.setGone(true);
  await page.getByText("The service does not answer.").waitFor();
  expect(await page.getByText("copying tables").first().isVisible()).toBe(true);
  service.setGone(false);
  await page.getByText("The service does not answer.").waitFor({ state: "hidden", timeout: 30_000 });
});

test("a page that nobody looks at asks ten times less often", async () => {
  const { nextDelayMs } = await import("../../portal/api/polling-delay.ts");
  await serve();
  expect(nextDelayMs(1_500, 20, 0, true)).toBe(15_000);
  expect(nextDelayMs(1_500, 20, 0, false)).toBe(1_500);
  expect(nextDelayMs(1_500, 900, 0, false)).toBe(2_700);
  expect([1, 2, 3, 9].map((failures) => nextDelayMs(1_500, 20, failures, false))).toEqual([2_000, 4_000, 8_000, 15_000]);
});

test("a cutover that was refused says why and can be tried again", async () => {
  await serve();
  await page.goto(migrationAddress(service, "refused"));
  await page.getByRole("button", { name: "Start cutover" }).click();
  await page.getByText("PG1209").waitFor();
  await page.getByRole("button", { name: "Cut over again" }).click();
  await page.getByLabel(/^Confirm: /).waitFor();
});

test("the report is whole on paper, without what is for the screen only", async () => {
  await serve();
  await page.goto(`${migrationAddress(service, "complete")}/databases/listdb/report`);
  await page.getByText("Source and target are equal.").waitFor();
  await page.emulateMedia({ media: "print" });
  expect(await page.getByRole("button", { name: "Print" }).isVisible()).toBe(false);
  await page.locator("table", { hasText: "public.list_items" }).waitFor();
});
