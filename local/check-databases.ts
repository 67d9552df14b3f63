import { randomUUID } from "node:crypto";
import { MigrationError, reportedFrom } from "../contracts/errors.ts";
import { parseSettings, type Settings } from "../contracts/settings.ts";
import { type Server, type Side } from "../worker/postgres/server.ts";
import { checkMigration, hasErrors } from "../worker/validation/check-migration.ts";
import { printReport, toJson, type Report } from "./check-databases/report.ts";
import { readArguments, runCommand, UsageError } from "./command-line.ts";
import { connectionOf, type DatabaseConnection } from "./migrate/connection-url.ts";
import { settingMaps, tableNames } from "./migrate/settings.ts";
import { Terminal } from "./terminal.ts";

// `npm run check-databases`: every check of a migration, on its own. Nothing is changed on either side.

const usage = `npm run check-databases -- --source postgres://user@host/database --target postgres://user@host/database [options]

  --source URL, --target URL   the databases. ?sslmode= as in libpq; without it TLS is on and the certificate is checked.
                               Passwords may be in PGDMS_SOURCE_PASSWORD and PGDMS_TARGET_PASSWORD instead.
  --tables a.b,c.d             only these tables
  --set key=value              any setting of docs/settings.md, as the migration will have it; may be given several times
  --json                       the report as JSON on standard output

Exit code 0: no errors (warnings are none), 1: errors were found, 2: the arguments are wrong. The checks are in docs/checks.md.`;

const options = {
  source: { type: "string" },
  target: { type: "string" },
  tables: { type: "string" },
  set: { type: "string", multiple: true, default: [] as string[] },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

async function checkDatabases(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const source = connectionOf("--source", values.source, process.env["PGDMS_SOURCE_PASSWORD"]);
  const target = connectionOf("--target", values.target, process.env["PGDMS_TARGET_PASSWORD"]);
  const beganMs = performance.now();
  const report = await check({
    source: serverOf("source", source),
    target: serverOf("target", target),
    settings: settingsOf(values.set),
    selectedTables: tableNames(values.tables),
    signal,
    ownTaskId: randomUUID(),
    resuming: false,
  });
  if (values.json) console.log(JSON.stringify(toJson(report), undefined, 2));
  else printReport(new Terminal(process.stdout, process.env), report, { source, target }, performance.now() - beganMs);
  return hasErrors(report.findings) ? 1 : 0;
}

async function check(input: Parameters<typeof checkMigration>[0]): Promise<Report> {
  try {
    const result = await checkMigration(input);
    return { findings: result.findings, result };
  } catch (thrown) {
    if (!(thrown instanceof MigrationError)) throw thrown;
    return { findings: [reportedFrom(thrown)] };
  }
}

function serverOf(side: Side, { serverName, port, databaseName, userName, password, ...tls }: DatabaseConnection): Server {
  const encryptConnection = tls.encryptConnection ?? true;
  const trustServerCertificate = tls.trustServerCertificate ?? false;
  const credential = { kind: "none" } as const; // the password is at hand, not in a store
  const connection = { serverName, port: Number(port), databaseName, userName, credential, encryptConnection, trustServerCertificate };
  return { side, connection, password: () => Promise.resolve(password ?? undefined) };
}

/** @throws UsageError that names every setting that does not fit */
function settingsOf(pairs: readonly string[]): Settings {
  const parsed = parseSettings(settingMaps(pairs, {}));
  if (!parsed.ok) throw new UsageError(parsed.problems.map(({ path, message }) => `--set ${path}: ${message}`).join("\n"));
  return parsed.settings;
}

runCommand(checkDatabases);
