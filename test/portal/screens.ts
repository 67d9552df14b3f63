import { type Page } from "playwright-core";
import { type ScriptedOptions, type ScriptedService } from "./scripted/service.ts";

/** Every screen and state of the page, and the way to it: for the pictures and for the checks of accessibility. */
export interface Screen {
  readonly name: string;
  readonly options?: Partial<ScriptedOptions>;
  /** It covers the screen, so a picture of the whole page would show it twice. */
  readonly isOverlay?: boolean;
  /** Its rates and charts come from watching: a picture shows them after a while only. */
  readonly isWatched?: boolean;
  /** The next screen would show what was done for this one. */
  readonly isSpoiled?: boolean;
  open(page: Page, service: ScriptedService): Promise<void>;
  /** The shorter way, from the screen that stands before it in the list. */
  readonly onward?: ((page: Page) => Promise<void>) | undefined;
}

const servicePath = "groups/rg-lists/services/dms-lists";

export const migrationAddress = (service: ScriptedService, task: string): string =>
  `${service.url}#/${servicePath}/projects/pg-online/tasks/${task}`;

const migrationScreen =
  (task: string, seen: string): Screen["open"] =>
  async (page, service) => {
    await page.goto(migrationAddress(service, task));
    await page.getByText(seen).first().waitFor();
  };

/** Types a connection and tests it. */
export async function connect(page: Page, server: string, port: number, user: string, password: string): Promise<void> {
  await page.getByLabel("Server name").fill(server);
  await page.getByLabel("Server port").fill(String(port));
  await page.getByLabel("User name").fill(user);
  await page.locator("input[type=password]").fill(password);
  await page.getByRole("button", { name: "Test connection" }).click();
}

const next = (page: Page) => page.getByRole("button", { name: /^Next: / }).click();

type WizardStep = (page: Page) => Promise<void>;

/** From one step of the wizard, filled in, to the next. */
const wizardSteps: readonly WizardStep[] = [
  (page) => page.getByLabel("Project name").fill("pg-online"),
  async (page) => {
    await next(page);
    await connect(page, "pg-lists.corp.example.net", 5432, "dms_reader", "src-secret");
    await page.getByText("Connected to PostgreSQL 13.10").waitFor();
  },
  async (page) => {
    await next(page);
    await connect(page, "pgflex-lists.postgres.database.azure.com", 5432, "dms_writer", "tgt-secret");
    await page.getByText("Connected to PostgreSQL 16.4").waitFor();
  },
  async (page) => {
    await next(page);
    await page.getByRole("checkbox", { name: "Move listdb" }).check();
  },
  async (page) => {
    await next(page);
    await page.getByText("public.list_items").waitFor();
  },
  async (page) => {
    await page.getByLabel("Updates and deletes of a row").selectOption("insertsOnly");
    await next(page);
  },
  async (page) => {
    await next(page);
    await page.getByRole("button", { name: "Start migration" }).waitFor();
  },
];

/** Opens the wizard and goes through it up to a step, counted from 1. */
const wizardUpTo =
  (step: number): Screen["open"] =>
  async (page, service) => {
    await page.goto(`${service.url}#/${servicePath}/new`);
    for (const advance of wizardSteps.slice(0, step)) await advance(page);
  };

/** A step of the wizard, which can be reached from the one before as well. */
const wizardScreen = (step: number, name: string): Screen => ({
  name: `wizard-${step}-${name}`,
  isSpoiled: true,
  open: wizardUpTo(step),
  ...(step > 3 ? { onward: wizardSteps[step - 1] } : {}), // before that, the source has problems
});

export const screens: readonly Screen[] = [
  { name: "services", open: async (page, { url }) => (await page.goto(url), page.getByText("dms-archive").waitFor()) },
  {
    name: "services-empty",
    options: { empty: true },
    open: async (page, { url }) => (await page.goto(url), page.getByText("No migration service yet").waitFor()),
  },
  {
    name: "service-create",
    isOverlay: true,
    open: async (page, { url }) => {
      await page.goto(url);
      await page.getByRole("button", { name: "Create" }).click();
      await page.getByLabel("Name").fill("x");
      await page.getByRole("dialog").getByRole("button", { name: "Create" }).click();
      await page.getByText("the first must be a letter").waitFor();
    },
  },
  {
    name: "service",
    open: async (page, { url }) => (await page.goto(`${url}#/${servicePath}`), page.getByText("worker-7d9f-a").waitFor()),
  },
  wizardScreen(1, "project"),
  { ...wizardScreen(2, "source"), options: { sourceHasProblems: true } },
  wizardScreen(3, "target"),
  wizardScreen(4, "databases"),
  wizardScreen(5, "tables"),
  wizardScreen(6, "settings"),
  wizardScreen(7, "summary"),
  { name: "migration-queued", open: migrationScreen("queued", "no worker of this service") },
  { name: "migration-loading", isWatched: true, open: migrationScreen("migrate-listdb", "copying tables") },
  { name: "migration-ready", isWatched: true, open: migrationScreen("ready", "Ready to cutover") },
  { name: "migration-failed", open: migrationScreen("failed", "duplicate key value") },
  {
    name: "migration-offline",
    isSpoiled: true,
    open: async (page, service) => {
      await migrationScreen("loading", "copying tables")(page, service);
      service.setGone(true);
      await page.getByText("The service does not answer.").waitFor();
    },
  },
  {
    name: "migration-cancel",
    isOverlay: true,
    open: async (page, service) => {
      await migrationScreen("loading", "copying tables")(page, service);
      await page.getByRole("button", { name: "Cancel migration" }).click();
      await page.getByRole("alertdialog").waitFor();
    },
  },
  {
    name: "migration-restart",
    isOverlay: true,
    open: async (page, service) => {
      await migrationScreen("failed", "duplicate key value")(page, service);
      await page.getByRole("button", { name: "Restart" }).click();
      await page.getByLabel("Password on the target").waitFor();
    },
  },
  { name: "cutover-ask", isOverlay: true, open: cutoverScreen("ready", "Confirm: the applications") },
  { name: "cutover-fenced", isOverlay: true, open: cutoverScreen("fenced", "Confirm: the applications are stopped") },
  { name: "cutover-progress", isOverlay: true, open: cutoverScreen("cutting-over", "Cutover in progress") },
  { name: "cutover-refused", isOverlay: true, open: cutoverScreen("refused", "The cutover was refused") },
  {
    name: "report",
    open: async (page, service) => {
      await page.goto(`${migrationAddress(service, "complete")}/databases/listdb/report`);
      await page.getByText("Source and target are equal.").waitFor();
    },
  },
  {
    name: "not-found",
    open: async (page, { url }) => (
      await page.goto(`${url}#/${servicePath}/projects/pg-online/tasks/gone`),
      page.getByText("Not here").waitFor()
    ),
  },
  {
    name: "signed-out",
    options: {
      settings: {
        authMode: "entra",
        clientId: "22222222-3333-4444-5555-666666666666",
        tenantId: "contoso",
        authority: "https://login.microsoftonline.com/contoso",
        scope: "api://x/.default",
      },
    },
    open: async (page, { url }) => (await page.goto(url), page.getByRole("button", { name: "Sign in" }).waitFor()),
  },
];

function cutoverScreen(task: string, seen: string): Screen["open"] {
  return async (page, service) => {
    await page.goto(migrationAddress(service, task));
    await page.getByRole("button", { name: /^(Start|Show) cutover$/ }).click();
    await page.getByText(seen).first().waitFor();
  };
}
