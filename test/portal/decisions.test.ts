import { expect, test } from "vitest";
import {
  activityName,
  chosenDatabases,
  currentCheck,
  incompleteBecause,
  migrationInput,
  selectShown,
} from "../../portal/wizard/decisions.ts";
import { emptyDraft, fingerprintOf, nothingUnkept, type Draft } from "../../portal/wizard/draft.ts";
import { cutoverStage } from "../../portal/cutover/cutover-stage.ts";
import { databaseOutput } from "./scripted/outputs.ts";

const connected = (draft: Draft): Draft => ({
  ...draft,
  sourceCheck: {
    fingerprint: fingerprintOf(draft.source),
    serverBrandVersion: "PostgreSQL 13.10",
    databases: ["listdb", "billing", "postgres"],
    findings: [],
    failures: [],
  },
  targetCheck: {
    fingerprint: fingerprintOf(draft.target),
    serverBrandVersion: "PostgreSQL 16.4",
    databases: ["listdb", "postgres"],
    findings: [],
    failures: [],
  },
});

const base = emptyDraft("pg-online");
const draft = connected({
  ...base,
  source: { ...base.source, serverName: "old", userName: "reader", databaseName: "listdb" },
  target: { ...base.target, serverName: "new", userName: "writer" },
});
const unkept = { ...nothingUnkept, passwords: { source: "s", target: "t" } };

test("the database that was logged in to is preselected, and goes to the one of the same name", () => {
  expect(chosenDatabases(draft)).toEqual([{ name: "listdb", targetName: "listdb", isSelected: true, existsOnTarget: true }]);
});

test("a lone database is preselected, and the server's own one never is", () => {
  const lone = { ...draft, source: base.source, sourceCheck: { ...draft.sourceCheck!, databases: ["only", "postgres"] } };
  expect(chosenDatabases(lone).map(({ name }) => name)).toEqual(["only"]);
  expect(chosenDatabases({ ...lone, sourceCheck: { ...lone.sourceCheck, databases: ["postgres"] } })).toEqual([]);
});

test("an answer about another connection does not count", () => {
  expect(currentCheck(draft, "source")).toBeDefined();
  expect(currentCheck({ ...draft, source: { ...draft.source, port: "5433" } }, "source")).toBeUndefined();
});

const incomplete: readonly [string, Parameters<typeof incompleteBecause>[0], Draft][] = [
  ["no name", "project", { ...draft, projectName: "" }],
  ["a name that the API refuses", "project", { ...draft, projectName: "-x" }],
  ["an untested source", "source", { ...draft, source: { ...draft.source, port: "1" } }],
  ["no database", "databases", { ...draft, selected: { listdb: false } }],
  ["a target database that is not there", "databases", { ...draft, targetNames: { listdb: "elsewhere" } }],
  ["one target for two databases", "databases", { ...draft, selected: { billing: true }, targetNames: { billing: "listdb" } }],
  ["no table", "tables", { ...draft, tables: { listdb: [] } }],
  ["a setting out of its range", "settings", { ...draft, settings: { fullLoadStreams: "99" } }],
];
test.each(incomplete)("%s keeps the step %s open", (_why, step, open) => {
  expect(incompleteBecause(step, open, unkept)).toBeTypeOf("string");
  expect(incompleteBecause(step, draft, unkept)).toBeUndefined();
});

test("a target database that is not there is no problem when it will be created", () => {
  const created = { ...draft, targetNames: { listdb: "elsewhere" }, settings: { createDatabase: "true" } };
  expect(incompleteBecause("databases", created, unkept)).toBeUndefined();
});

test("the start needs the passwords, which a reload has forgotten", () => {
  expect(incompleteBecause("summary", draft, nothingUnkept)).toBeTypeOf("string");
  expect(incompleteBecause("summary", draft, unkept)).toBeUndefined();
});

test("the request carries what was changed, in the map that each setting belongs to, and all tables as no list", () => {
  const input = migrationInput({ ...draft, settings: { fence: "readOnly", plugin: "pgoutput", indexBuilders: "4" } }, unkept);
  expect(input.selectedDatabases).toEqual([
    {
      name: "listdb",
      targetDatabaseName: "listdb",
      migrationSetting: { fence: "readOnly" },
      sourceSetting: { plugin: "pgoutput" },
      targetSetting: { indexBuilders: "4" },
    },
  ]);
  expect(input.sourceConnectionInfo).toMatchObject({
    serverName: "old",
    port: 5432,
    password: "s",
    encryptConnection: true,
    trustServerCertificate: false,
  });
  const some = migrationInput({ ...draft, tables: { listdb: ["public.lists"] } }, unkept);
  expect(some.selectedDatabases[0]?.selectedTables).toEqual([{ name: "public.lists" }]);
});

test("the buttons that select are about the tables that are shown", () => {
  const table = (name: string, hasRows: boolean) => ({ name, hasRows, hasKey: true, rowsEstimate: 0, sizeBytes: 0 });
  const all = [table("a.x", true), table("a.y", false), table("b.x", true), table("b.y", false)];
  const isSelected = ({ name }: { name: string }) => name === "a.x" || name === "a.y" || name === "b.x";
  const shown = all.slice(2);
  expect(selectShown("all", shown, all, isSelected)).toEqual(["a.x", "a.y", "b.x", "b.y"]);
  expect(selectShown("none", shown, all, isSelected)).toEqual(["a.x", "a.y"]);
  expect(selectShown("withRows", shown, all, isSelected)).toEqual(["a.x", "a.y", "b.x"]);
  expect(selectShown("withRows", all, all, isSelected)).toEqual(["a.x", "b.x"]);
  expect(selectShown("none", all, all, isSelected)).toEqual([]);
});

test("with an Entra login no password is sent", () => {
  const input = migrationInput({ ...draft, target: { ...draft.target, login: "entra" } }, unkept);
  expect(input.targetConnectionInfo).toMatchObject({ authentication: "ActiveDirectoryIntegrated" });
  expect(input.targetConnectionInfo).not.toHaveProperty("password");
});

test("the activity gets a name that the API takes, whatever the database is called", () => {
  const odd = {
    ...draft,
    source: { ...draft.source, databaseName: "Übersicht 2026" },
    sourceCheck: { ...draft.sourceCheck!, databases: ["Übersicht 2026"] },
  };
  expect(activityName(odd)).toBe("migrate--bersicht-2026");
});

const command = (state: "Accepted" | "Failed" | "Succeeded") => ({
  commandType: "x",
  commandId: "1",
  state,
  input: { databaseName: "listdb" },
});
const stages = [
  ["RUNNING", undefined, undefined, "notReady"],
  ["READY_TO_COMPLETE", undefined, undefined, "ask"],
  ["READY_TO_COMPLETE", "Accepted", undefined, "running"],
  ["COMPLETING", "Accepted", undefined, "running"],
  ["READY_TO_COMPLETE", "Failed", undefined, "refused"],
  ["READY_TO_COMPLETE", "Failed", "1", "ask"],
  ["COMPLETE", "Succeeded", undefined, "done"],
  ["FAILED", "Failed", undefined, "failed"],
] as const;
test.each(stages)("a database in %s with a command in %s (dismissed: %s) shows the stage %s", (migrationState, state, dismissed, stage) => {
  const output = databaseOutput({ databaseName: "listdb", migrationState });
  expect(cutoverStage(output, state && command(state), dismissed)).toBe(stage);
});
