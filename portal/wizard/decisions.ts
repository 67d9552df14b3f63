import { parseSettings, settingDefinitions, type SettingMap, type SettingName, type SettingProblem } from "../../contracts/settings.ts";
import type { ConnectionInput, SelectedDatabaseInput, UserTable } from "../../contracts/wire.ts";
import { texts } from "../texts.ts";
import { fingerprintOf, type CheckResult, type ConnectionDraft, type Draft, type Side, type StepName, type Unkept } from "./draft.ts";

/** What follows from a draft: which databases are chosen, what is still missing, and the request. All pure. */

/** The rule of the API for projects; tasks follow it too. */
const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{1,56}$/;
export const isName = (name: string): boolean => namePattern.test(name);

/** The database that every server has for its own use is nothing to move unless it is asked for. */
const maintenanceDatabase = "postgres";

/** The answer of the last check, if it was about the connection as it stands. */
export function currentCheck(draft: Draft, side: Side): CheckResult | undefined {
  const check = side === "source" ? draft.sourceCheck : draft.targetCheck;
  return check?.fingerprint === fingerprintOf(draft[side]) ? check : undefined;
}

export const isConnected = (check: CheckResult | undefined): check is CheckResult => check !== undefined && check.failures.length === 0;

export const errorsOf = (check: CheckResult | undefined) => (check?.findings ?? []).filter(({ severity }) => severity === "error");

export interface ChosenDatabase {
  readonly name: string;
  readonly targetName: string;
  readonly isSelected: boolean;
  readonly existsOnTarget: boolean;
}

/** Every database of the source: whether it is to be moved, and where to. */
export function databaseChoices(draft: Draft): ChosenDatabase[] {
  const names = draft.sourceCheck?.databases ?? [];
  const onTarget = new Set(draft.targetCheck?.databases);
  const movable = names.filter((name) => name !== maintenanceDatabase);
  const preselected = (name: string) => movable.includes(name) && (name === draft.source.databaseName || movable.length === 1);
  return names.map((name) => {
    const targetName = draft.targetNames[name] ?? name;
    return { name, targetName, isSelected: draft.selected[name] ?? preselected(name), existsOnTarget: onTarget.has(targetName) };
  });
}

export const chosenDatabases = (draft: Draft): ChosenDatabase[] => databaseChoices(draft).filter(({ isSelected }) => isSelected);

export const settingValue = (draft: Draft, name: SettingName): string => draft.settings[name] ?? settingDefinitions[name].default;

/** The changed settings in the three maps that carry them. */
function settingMaps(draft: Draft): Record<SettingMap, Record<string, string>> {
  const maps: Record<SettingMap, Record<string, string>> = { migrationSetting: {}, sourceSetting: {}, targetSetting: {} };
  for (const [name, value] of Object.entries(draft.settings)) maps[settingDefinitions[name as SettingName].map][name] = value;
  return maps;
}

export function settingProblems(draft: Draft): readonly SettingProblem[] {
  const result = parseSettings(settingMaps(draft));
  return result.ok ? [] : result.problems;
}

/** Why a step cannot be left yet, in words; undefined when it is complete. */
export function incompleteBecause(step: StepName, draft: Draft, unkept: Unkept): string | undefined {
  switch (step) {
    case "project":
      return isName(draft.projectName) ? undefined : texts.wizard.projectBad;
    case "source":
    case "target":
      return isConnected(currentCheck(draft, step)) ? undefined : texts.wizard.testFirst;
    case "databases":
      return databasesIncomplete(draft);
    case "tables": {
      const without = chosenDatabases(draft).find(({ name }) => draft.tables[name]?.length === 0);
      return without ? texts.wizard.noneSelected(without.name) : undefined;
    }
    case "settings":
      return settingProblems(draft).length > 0 ? texts.wizard.fixSettings : undefined;
    case "summary": {
      const missing = (["source", "target"] as const).some((side) => needsPassword(draft[side], unkept.passwords[side]));
      return missing ? texts.wizard.passwordsMissing : isName(activityName(draft)) ? undefined : texts.wizard.projectBad;
    }
  }
}

function databasesIncomplete(draft: Draft): string | undefined {
  const chosen = chosenDatabases(draft);
  if (chosen.length === 0) return texts.wizard.noDatabaseSelected;
  const names = chosen.map(({ targetName }) => targetName.trim());
  if (names.includes("")) return texts.wizard.targetNameMissing;
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) return texts.wizard.sameTarget(twice);
  const missing = chosen.some(({ existsOnTarget }) => !existsOnTarget) && settingValue(draft, "createDatabase") !== "true";
  return missing ? texts.wizard.targetMissing : undefined;
}

export const needsPassword = ({ login }: ConnectionDraft, password: string): boolean => login === "password" && password === "";

/** The name that was given, or one made from the first database. */
export function activityName(draft: Draft): string {
  if (draft.activityName !== undefined) return draft.activityName;
  const first = chosenDatabases(draft)[0]?.name.replace(/[^A-Za-z0-9._-]/g, "-") ?? "";
  return `migrate-${first}`.slice(0, 57);
}

/** The selected tables of a database among those listed; all of them where nothing was chosen. */
export function isTableSelected(draft: Draft, database: string): (table: UserTable) => boolean {
  const chosen = draft.tables[database];
  if (chosen === undefined) return () => true;
  const names = new Set(chosen);
  return ({ name }) => names.has(name);
}

/** What the buttons above the list do: they are about the tables that are shown, and leave the others as they are. */
export type Selection = "all" | "withRows" | "none";

/** The names that are selected after a press of one of those buttons. */
export function selectShown(
  selection: Selection,
  shown: readonly UserTable[],
  all: readonly UserTable[],
  isSelected: (table: UserTable) => boolean,
): string[] {
  const isShown = new Set(shown.map(({ name }) => name));
  const isWanted = ({ hasRows }: UserTable) => selection === "all" || (selection === "withRows" && hasRows);
  return all.filter((table) => (isShown.has(table.name) ? isWanted(table) : isSelected(table))).map(({ name }) => name);
}

export function connectionInput(connection: ConnectionDraft, password: string): ConnectionInput {
  const { serverName, port, databaseName, userName, login, encryptConnection, trustServerCertificate } = connection;
  return {
    type: "PostgreSqlConnectionInfo",
    serverName: serverName.trim(),
    port: Number(port),
    databaseName: databaseName.trim(),
    userName: userName.trim(),
    ...(login === "entra" ? { authentication: "ActiveDirectoryIntegrated" as const } : { password }),
    encryptConnection,
    trustServerCertificate,
  };
}

/** The input of the migration task. */
export function migrationInput(draft: Draft, { passwords }: Unkept) {
  const selectedDatabases = chosenDatabases(draft).map(({ name, targetName }): SelectedDatabaseInput => {
    const tables = draft.tables[name];
    return {
      name,
      targetDatabaseName: targetName.trim(),
      ...(tables ? { selectedTables: tables.map((table) => ({ name: table })) } : {}),
      ...settingMaps(draft),
    };
  });
  return {
    sourceConnectionInfo: connectionInput(draft.source, passwords.source),
    targetConnectionInfo: connectionInput(draft.target, passwords.target),
    selectedDatabases,
  };
}
