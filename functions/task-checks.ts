import { type SelectedDatabase } from "../contracts/commands.ts";
import { type ConnectionInfo } from "../contracts/connection.ts";
import { parseSettings } from "../contracts/settings.ts";
import { parseTableName } from "../contracts/tables.ts";
import { type ErrorDetail } from "../contracts/wire.ts";
import { ApiError } from "./http/api-error.ts";
import { DETAILS_MAX, fieldPath } from "./http/validation.ts";

/** What a schema cannot say of the input of a task: fields that must agree with each other. */

/** Where the input stands in the body. */
export const INPUT = ["properties", "input"];

/** @throws ApiError (400) that names every problem */
export function check(problems: readonly ErrorDetail[]): void {
  if (problems.length > 0) throw new ApiError("InvalidRequest", { details: problems.slice(0, DETAILS_MAX) });
}

function problem(path: readonly PropertyKey[], message: string, code = "InvalidValue"): ErrorDetail {
  const target = fieldPath([...INPUT, ...path]);
  return { code, message: `${target}: ${message}`, target };
}

/** @param name the property that holds the connection */
export function connectionProblems(connection: ConnectionInfo, name: string): ErrorDetail[] {
  const problems: ErrorDetail[] = [];
  const { userName, password, passwordSecretUri, authentication } = connection;
  if (!userName) problems.push(problem([name, "userName"], "is required. Give the role that pgdms logs in as.", "ValueRequired"));
  if (authentication === "WindowsAuthentication" || authentication === "ActiveDirectoryPassword")
    problems.push(
      problem([name, "authentication"], 'is not possible with PostgreSQL. Give "SqlAuthentication" or "ActiveDirectoryIntegrated".'),
    );
  if (passwordSecretUri && password)
    problems.push(problem([name, "passwordSecretUri"], "is given beside a password. Give one of the two."));
  if (passwordSecretUri && !isSecretUri(passwordSecretUri))
    problems.push(
      problem([name, "passwordSecretUri"], "is no Key Vault secret. Give https://<vault>/secrets/<name>, with or without a version."),
    );
  return problems;
}

function isSecretUri(text: string): boolean {
  const { protocol, pathname, username, search } = new URL(text);
  return protocol === "https:" && username === "" && search === "" && /^\/secrets\/[0-9A-Za-z-]+(\/[0-9A-Za-z]+)?\/?$/.test(pathname);
}

/** Settings and table names of one selected database. */
export function databaseProblems(database: SelectedDatabase, at: number): ErrorDetail[] {
  const settings = parseSettings(database);
  const path = ["selectedDatabases", at];
  return [
    ...(settings.ok ? [] : settings.problems.map(({ path: key, message }) => problem([...path, key], message))),
    ...database.selectedTables.flatMap(({ name }, index) =>
      parseTableName(name) === undefined
        ? [
            problem(
              [...path, "selectedTables", index, "name"],
              `"${name}" is no table name. Give schema.table; a name with a dot in double quotes.`,
            ),
          ]
        : [],
    ),
  ];
}

/** Names that stand twice in a list. PostgreSQL's names know case. */
export function duplicates(names: readonly string[], path: (at: number) => readonly PropertyKey[]): ErrorDetail[] {
  return names.flatMap((name, at) =>
    names.indexOf(name) < at ? [problem(path(at), `"${name}" is there already. Each database goes once.`)] : [],
  );
}

/** A migration of a database into itself. */
export function sameDatabase(source: ConnectionInfo, target: ConnectionInfo, database: SelectedDatabase, at: number): ErrorDetail[] {
  const sameServer = source.serverName.toLowerCase() === target.serverName.toLowerCase() && source.port === target.port;
  if (!sameServer || database.name !== database.targetDatabaseName) return [];
  return [
    problem(
      ["selectedDatabases", at, "targetDatabaseName"],
      "is the source itself: server, port and database are the same. Correct the target.",
    ),
  ];
}
