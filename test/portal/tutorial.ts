import { readFile } from "node:fs/promises";
import { type Page } from "playwright-core";
import { connect } from "./screens.ts";

/** The rows 7 to 18 of the classic tutorial, done by hand on the page: clicks and typing only, never a call of the API. */

/** What is typed into the wizard. */
interface ServerLogin {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly encrypt: boolean;
}

export interface TutorialPlan {
  /** Of the portal, with or without a slash at the end. */
  readonly url: string;
  readonly service: string;
  readonly project: string;
  readonly database: string;
  readonly source: ServerLogin;
  readonly target: ServerLogin;
}

const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name, exact: typeof name === "string" });
const next = (page: Page) => button(page, /^Next: /).click();

/** Row 7: creates the service and waits for its worker. */
export async function createService(page: Page, { url, service }: TutorialPlan): Promise<void> {
  await page.goto(url);
  await button(page, "Create").first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill(service);
  await dialog.getByRole("button", { name: "Create" }).click();
  await page.getByRole("heading", { name: service }).waitFor();
  await page.getByText("Alive").first().waitFor({ timeout: 60_000 });
  await page.getByText("Online", { exact: true }).first().waitFor();
}

/** Row 7: stops the service and starts it again. */
export async function stopAndStart(page: Page): Promise<void> {
  await button(page, "Stop").click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Stop" }).click();
  await page.getByText("Stopped", { exact: true }).waitFor();
  await button(page, "Start").click();
  await page.getByText("Online", { exact: true }).first().waitFor();
}

/** Row 8: a project alone; the activity comes later. */
export async function createProjectOnly(page: Page, { project }: TutorialPlan): Promise<void> {
  await button(page, "New migration").first().click();
  await page.getByLabel("Project name").fill(project);
  await page.getByLabel("Create project only").check();
  await button(page, "Create project").click();
  await page.getByText("No activity yet").waitFor();
}

async function login(page: Page, { host, port, user, password, encrypt }: ServerLogin): Promise<void> {
  const encryption = page.getByLabel("Encrypt connection");
  if ((await encryption.isChecked()) !== encrypt) await encryption.click();
  await connect(page, host, port, user, password);
  await page.getByText(/^Connected to PostgreSQL/).waitFor({ timeout: 30_000 });
}

/** Row 8 and 9: the activity, and the source. Leaves in between and comes back, as people do. */
export async function giveSource(
  page: Page,
  { project, source, service }: TutorialPlan,
): Promise<{ keptServer: string; keptPassword: string }> {
  await page.getByRole("link", { name: "Add an activity" }).click();
  await page.getByLabel("Create and run activity").waitFor();
  if ((await page.getByLabel("Project name").inputValue()) !== project) throw new Error("the project's name is not there");
  await next(page);
  await page.getByLabel("Server name").fill(source.host);
  await page.locator("input[type=password]").fill(source.password);
  await page.getByRole("link", { name: "Back to the service" }).click();
  await page.getByRole("heading", { name: service }).waitFor();
  await button(page, "New migration").first().click();
  const kept = {
    keptServer: await page.getByLabel("Server name").inputValue(),
    keptPassword: await page.locator("input[type=password]").inputValue(),
  };
  await login(page, source);
  await next(page);
  return kept;
}

/** Rows 10 to 14: target, databases, tables, settings, summary; then row 15, the start. */
export async function giveTheRestAndStart(
  page: Page,
  { target, database }: TutorialPlan,
  settings: (page: Page) => Promise<void>,
): Promise<void> {
  await login(page, target);
  await next(page);
  await page.getByRole("checkbox", { name: `Move ${database}` }).check();
  if ((await page.getByLabel(`Target database of ${database}`).inputValue()) !== database)
    throw new Error("the same name is not preselected");
  await next(page);
  await page.getByText(/tables selected/).waitFor({ timeout: 30_000 });
  await settings(page);
  await next(page);
  await next(page);
  await page.getByLabel("Activity name").fill(`migrate-${database}`);
  await button(page, "Start migration").click();
  await page.getByRole("heading", { name: `migrate-${database}` }).waitFor();
}

/** Row 17: Start cutover, the fence, Confirm, Apply; resolves when the panel says that it is complete. */
export async function cutOver(page: Page): Promise<void> {
  await button(page, "Start cutover").click();
  const panel = page.getByRole("dialog");
  if (!(await panel.getByLabel(/^No fence/).isChecked())) throw new Error("the setting's fence is not preselected");
  await panel.getByLabel(/^Make the source read-only/).check();
  await panel.getByLabel(/^Confirm: /).check();
  await panel.getByRole("button", { name: "Apply" }).click();
  await panel.getByText("The cutover is complete.").waitFor({ timeout: 90_000 });
}

/** Row 18: opens the report and downloads it. */
export async function downloadReport(page: Page): Promise<unknown> {
  await page.getByRole("link", { name: "Open the report" }).click();
  await page.getByRole("heading", { name: /^Cutover report of/ }).waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), button(page, "Download JSON").click()]);
  return JSON.parse(await readFile(await download.path(), "utf8")) as unknown;
}

/** A counter of the page, by its label. */
export async function counter(page: Page, label: string): Promise<number> {
  const value = await page
    .locator("dl > div", { has: page.locator("dt", { hasText: new RegExp(`^${label}$`) }) })
    .first()
    .locator("dd")
    .innerText();
  return Number(value.replaceAll(",", ""));
}
