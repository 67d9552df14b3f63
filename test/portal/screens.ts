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
  open(page: Page, service: ScriptedService): Promise<void>;
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

/** Opens the wizard and goes through it up to a step. */
async function wizardUpTo(
  page: Page,
  service: ScriptedService,
  step: "project" | "source" | "target" | "databases" | "tables" | "settings" | "summary",
) {
  await page.goto(`${service.url}#/${servicePath}/new`);
  await page.getByLabel("Project name").fill("pg-online");
  if (step === "project") return;
  await next(page);
  await connect(page, "pg-lists.corp.example.net", 5432, "dms_reader", "src-secret");
  await page.getByText("Connected to PostgreSQL 13.10").waitFor();
  if (step === "source") return;
  await next(page);
  await connect(page, "pgflex-lists.postgres.database.azure.com", 5432, "dms_writer", "tgt-secret");
  await page.getByText("Connected to PostgreSQL 16.4").waitFor();
  if (step === "target") return;
  await next(page);
  await page.getByRole("checkbox", { name: "Move listdb" }).check();
  if (step === "databases") return;
  await next(page);
  await page.getByText("public.list_items").waitFor();
  if (step === "tables") return;
  await page.getByLabel("Updates and deletes of a row").selectOption("insertsOnly");
  await next(page);
  if (step === "settings") return;
  await next(page);
  await page.getByRole("button", { name: "Start migration" }).waitFor();
}

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
  { name: "wizard-1-project", open: (page, service) => wizardUpTo(page, service, "project") },
  { name: "wizard-2-source", options: { sourceHasProblems: true }, open: (page, service) => wizardUpTo(page, service, "source") },
  { name: "wizard-3-target", open: (page, service) => wizardUpTo(page, service, "target") },
  { name: "wizard-4-databases", open: (page, service) => wizardUpTo(page, service, "databases") },
  { name: "wizard-5-tables", open: (page, service) => wizardUpTo(page, service, "tables") },
  { name: "wizard-6-settings", open: (page, service) => wizardUpTo(page, service, "settings") },
  { name: "wizard-7-summary", open: (page, service) => wizardUpTo(page, service, "summary") },
  { name: "migration-queued", open: migrationScreen("queued", "no worker of this service") },
  { name: "migration-loading", isWatched: true, open: migrationScreen("migrate-listdb", "copying tables") },
  { name: "migration-ready", isWatched: true, open: migrationScreen("ready", "Ready to cutover") },
  { name: "migration-failed", open: migrationScreen("failed", "duplicate key value") },
  {
    name: "migration-offline",
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
  { name: "cutover-ask", isOverlay: true, open: cutoverScreen("ready", "Confirm: the applications") },
  { name: "cutover-fenced", isOverlay: true, open: cutoverScreen("fenced", "The source will be fenced.") },
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
