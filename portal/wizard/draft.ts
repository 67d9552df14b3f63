import type { SettingName } from "../../contracts/settings.ts";
import type { ErrorDetail, FindingView, UserTable } from "../../contracts/wire.ts";

/** What was typed so far. Everything in here may be written to the browser's storage: passwords are elsewhere. */

export interface ConnectionDraft {
  readonly serverName: string;
  readonly port: string;
  readonly databaseName: string;
  readonly userName: string;
  readonly login: "password" | "entra";
  readonly encryptConnection: boolean;
  readonly trustServerCertificate: boolean;
}

export type Side = "source" | "target";

/** What a connection check answered, and for which connection. */
export interface CheckResult {
  readonly fingerprint: string;
  readonly serverBrandVersion: string | undefined;
  readonly databases: readonly string[];
  readonly findings: readonly FindingView[];
  /** Why the check itself could not be done. */
  readonly failures: readonly ErrorDetail[];
}

export interface Draft {
  readonly step: StepName;
  readonly mode: "createOnly" | "createAndRun";
  readonly projectName: string;
  readonly source: ConnectionDraft;
  readonly target: ConnectionDraft;
  readonly sourceCheck?: CheckResult;
  readonly targetCheck?: CheckResult;
  /** What the user chose against the preselection, by source database. */
  readonly selected: Readonly<Record<string, boolean>>;
  readonly targetNames: Readonly<Record<string, string>>;
  /** The chosen tables by source database; no entry means all of them. */
  readonly tables: Readonly<Record<string, readonly string[]>>;
  /** Only what differs from the defaults. */
  readonly settings: Readonly<Partial<Record<SettingName, string>>>;
  readonly activityName?: string;
}

/** What is never written anywhere, and the large lists that are read again. */
export interface Unkept {
  readonly passwords: Readonly<Record<Side, string>>;
  readonly tableLists: Readonly<Record<string, readonly UserTable[]>>;
}

export const STEPS = ["project", "source", "target", "databases", "tables", "settings", "summary"] as const;
export type StepName = (typeof STEPS)[number];

const emptyConnection: ConnectionDraft = {
  serverName: "",
  port: "5432",
  databaseName: "postgres",
  userName: "",
  login: "password",
  encryptConnection: true,
  trustServerCertificate: false,
};

export const emptyDraft = (projectName: string | undefined): Draft => ({
  step: "project",
  mode: "createAndRun",
  projectName: projectName ?? "",
  source: emptyConnection,
  target: emptyConnection,
  selected: {},
  targetNames: {},
  tables: {},
  settings: {},
});

export const nothingUnkept: Unkept = { passwords: { source: "", target: "" }, tableLists: {} };

/** Names a connection, so that an answer is not taken for another one's. */
export const fingerprintOf = (connection: ConnectionDraft): string => JSON.stringify(connection);
