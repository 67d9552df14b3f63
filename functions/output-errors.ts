import { type ReportedError } from "../contracts/errors.ts";
import { type Finding, type TableProgress } from "../contracts/reports.ts";
import {
  type DatabaseLevelErrorOutput,
  type ErrorDetail,
  type ErrorOutput,
  type FindingView,
  type OutputEvent,
  type ReportableException,
} from "../contracts/wire.ts";

/** Errors of the closed list in the shapes that the classic API has for them. */

/** COR_E_EXCEPTION: the classic service is a .NET program, and this is what it says of every error. */
const H_RESULT = -2146233088;

export const reportableException = ({ code, severity, message, remedy, sqlState }: ReportedError): ReportableException => ({
  message,
  ...(remedy === undefined ? {} : { actionableMessage: remedy }),
  hResult: H_RESULT,
  code,
  severity,
  ...(sqlState === undefined ? {} : { sqlState }),
});

export const errorDetail = ({ code, message, remedy, sqlState, table, databaseName }: ReportedError): ErrorDetail => {
  const target = table ?? databaseName;
  return {
    code,
    message: remedy === undefined ? message : `${message} ${remedy}`,
    ...(target === undefined ? {} : { target }),
    ...(sqlState === undefined ? {} : { details: [{ code: sqlState, message }] }),
  };
};

export const findingView = ({ error, subject, since, resolved }: Finding): FindingView => ({ ...error, subject, since, resolved });

/** What a connect task shows as `validationErrors`: all but mere information. */
export const validationErrors = (findings: readonly ReportedError[]): ReportableException[] =>
  findings.filter(({ severity }) => severity !== "information").map(reportableException);

const eventTypes = { error: "Error", warning: "Warning", information: "Information" } as const;

const event = ({ severity, message, table, sqlState }: ReportedError, on: string): OutputEvent => ({
  timestampString: on,
  eventTypeString: eventTypes[severity],
  eventText: `${table === undefined ? "" : `${table}: `}${message}${sqlState === undefined ? "" : ` (SQLSTATE ${sqlState})`}`,
});

interface Trouble {
  readonly error: ReportedError;
  readonly on: string;
}

/** Everything that is wrong with one database: its errors, those of its tables, and those of the task that name it. */
export function databaseErrorOutput(
  databaseName: string,
  findings: readonly Finding[],
  tables: readonly TableProgress[],
  taskErrors: readonly ReportedError[],
  endedOn: string,
): DatabaseLevelErrorOutput | undefined {
  const troubles: Trouble[] = [
    ...taskErrors.filter((error) => error.databaseName === databaseName).map((error) => ({ error, on: endedOn })),
    ...findings
      .filter((finding) => isTrouble(finding) && finding.databaseName === databaseName)
      .map(({ error, since }) => ({ error, on: since })),
    ...tables.flatMap(({ databaseName: name, schema, name: table, error, lastModifiedTime }) =>
      error === undefined || name !== databaseName
        ? []
        : [{ error: { ...error, table: error.table ?? `${schema}.${table}` }, on: lastModifiedTime ?? endedOn }],
    ),
  ];
  const [first] = troubles;
  if (first === undefined) return undefined;
  return {
    id: `dberr|${databaseName}`,
    resultType: "DatabaseLevelErrorOutput",
    databaseName,
    errorMessage: first.error.message,
    events: troubles.map(({ error, on }) => event(error, on)),
  };
}

/** The errors of the task as a whole. */
export function errorOutputs(taskErrors: readonly ReportedError[], findings: readonly Finding[], endedOn: string): ErrorOutput[] {
  const troubles: Trouble[] = [
    ...taskErrors.map((error) => ({ error, on: endedOn })),
    ...findings
      .filter((finding) => isTrouble(finding) && finding.databaseName === undefined)
      .map(({ error, since }) => ({ error, on: since })),
  ];
  return troubles.map(({ error, on }, index) => ({
    id: `err|${String(index + 1).padStart(4, "0")}`,
    resultType: "ErrorOutput",
    error: reportableException(error),
    events: [event(error, on)],
  }));
}

export const isTrouble = ({ error, resolved }: Finding): boolean => error.severity === "error" && !resolved;
