import { type ReportedError } from "../../contracts/errors.ts";
import { hasErrors, type MigrationCheckResult } from "../../worker/validation/check-migration.ts";
import { type DatabaseConnection } from "../migrate/connection-url.ts";
import { seconds, type Terminal } from "../terminal.ts";

/** What the checks found; without `result` when one of the servers could not be connected to. */
export interface Report {
  readonly findings: readonly ReportedError[];
  readonly result?: MigrationCheckResult;
}

const countOf = ({ findings }: Report, wanted: ReportedError["severity"]): number =>
  findings.filter(({ severity }) => severity === wanted).length;

/** The report for programs. */
export function toJson(report: Report) {
  const { findings, result } = report;
  return {
    ok: !hasErrors(findings),
    errors: countOf(report, "error"),
    warnings: countOf(report, "warning"),
    findings,
    ...(result && {
      sourceServerVersion: result.sourceServer.serverVersion,
      targetServerVersion: result.targetServer.serverVersion,
      plugin: result.plugin,
      tables: result.tables.length,
    }),
  };
}

interface Ends {
  readonly source: DatabaseConnection;
  readonly target: DatabaseConnection;
}

const severities = [
  { severity: "error", title: "Errors: the migration would be refused", colour: "red" },
  { severity: "warning", title: "Warnings", colour: "yellow" },
  { severity: "information", title: "For information", colour: "cyan" },
] as const;

/** The report for people, by severity. */
export function printReport(terminal: Terminal, report: Report, ends: Ends, durationMs: number): void {
  const { findings, result } = report;
  const sayEnd = (side: keyof Ends, version: string | undefined): void => {
    const { databaseName, serverName, port } = ends[side];
    const at = `${databaseName} at ${serverName}:${String(port)}`;
    terminal.print(`  ${side.padEnd(7)} ${at}${version === undefined ? "" : `, PostgreSQL ${version}`}`);
  };
  sayEnd("source", result?.sourceServer.serverVersion);
  sayEnd("target", result?.targetServer.serverVersion);
  if (result) terminal.print(`  ${result.tables.length} tables, followed with ${result.plugin}`);
  for (const { severity, title, colour } of severities) {
    const ofSeverity = findings.filter((finding) => finding.severity === severity);
    if (ofSeverity.length === 0) continue;
    terminal.print(`\n${terminal.style(["bold", colour], title)}`);
    for (const { code, message, remedy } of ofSeverity) {
      terminal.print(`  ${terminal.style(colour, code)}  ${message}`);
      if (remedy !== undefined) terminal.print(`          ${terminal.style("dim", "remedy:")} ${remedy}`);
    }
  }
  const summary = `${countOf(report, "error")} errors, ${countOf(report, "warning")} warnings`;
  terminal.print(`\n${terminal.style("bold", summary)} in ${seconds(durationMs)}. ${closing(report)}`);
}

const closing = ({ findings }: Report): string =>
  hasErrors(findings) ? "Mend the errors first; nothing was changed." : "The migration can begin; nothing was changed.";
