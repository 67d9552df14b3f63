import { MigrationError } from "../../contracts/errors.ts";
import { displayName } from "../../contracts/tables.ts";
import { isEncodingFailure, textNotConvertible } from "../postgres/encoding.ts";
import { isTransient } from "../postgres/failures.ts";
import { type StepResult } from "../postgres/wire/exchanges.ts";
import { type ServerError } from "../postgres/wire/server-error.ts";
import { type CheckedStep } from "./net-steps.ts";
import { type SyncTable } from "./sync-table.ts";

/** Names of the statements that hold the position in the bookkeeping against this session's: they divide by zero when it is another. */
export const POSITION_STEPS = { move: "pgdms_position", require: "pgdms_position_is", announce: "pgdms_position_next" } as const;
const ABOUT_POSITION: ReadonlySet<string> = new Set(Object.values(POSITION_STEPS));

const DIVISION_BY_ZERO = "22012";
const INVALID_TEXT = "22P02";
const UNKNOWN_LABEL = /^invalid input value for enum (.+?): /;

/** The target said no for the moment (a full disk, a fail-over, a lock): tried again on new connections. */
export class TargetRefused extends Error {
  readonly code: string;
  constructor(cause: ServerError) {
    super(cause.message, { cause });
    this.name = "TargetRefused";
    this.code = cause.code;
  }
}

/** The position was not where it was left; reading it again decides whether that is a late COMMIT or another worker. */
class PositionMoved extends Error {
  readonly code = "40001"; // serialization_failure: tried again on new connections
  constructor(cause: unknown) {
    super("the position on the target is not where this session left it", { cause });
    this.name = "PositionMoved";
  }
}

/**
 * Says in the words of a migration what is wrong with the result of a step, if anything is.
 * @throws MigrationError ApplyFailed, RowMissingOnTarget, SourceTableChanged, TextNotConvertible; TargetRefused or PositionMoved, which are transient.
 */
export function requireSuccess(result: StepResult, { rowCount, table, step }: CheckedStep): void {
  if (result.error) throw stepFailure(result.error, table, "prepared" in step && ABOUT_POSITION.has(step.prepared));
  if (rowCount === undefined || result.rowCount === rowCount) return;
  throw new MigrationError("RowMissingOnTarget", {
    ...(table === undefined ? {} : { table: displayName(table.definition) }),
    detail: `${rowCount} rows were to be changed, ${result.rowCount} were found.`,
  });
}

function stepFailure(failure: ServerError, syncTable: SyncTable | undefined, isPosition: boolean): unknown {
  if (isPosition && failure.code === DIVISION_BY_ZERO) return new PositionMoved(failure);
  if (isTransient(failure)) return new TargetRefused(failure);
  if (syncTable !== undefined && isEncodingFailure(failure.code)) return textNotConvertible(syncTable.definition, failure);
  const table = syncTable && displayName(syncTable.definition);
  const enumType = failure.code === INVALID_TEXT ? UNKNOWN_LABEL.exec(failure.message)?.[1] : undefined;
  if (enumType !== undefined) return labelMissing(enumType, table, failure);
  return new MigrationError("ApplyFailed", {
    ...(table === undefined ? {} : { table }),
    detail: describe(failure),
    sqlState: failure.code,
    cause: failure,
  });
}

/** A label that was added on the way: ALTER TYPE … ADD VALUE is not in the stream (pitfalls 71). */
const labelMissing = (type: string, table: string | undefined, cause: ServerError): MigrationError =>
  new MigrationError("SourceTableChanged", {
    ...(table === undefined ? {} : { table }),
    detail: `The source uses a label of the enum type ${type} that the target's type does not have.`,
    remedy: `On the target: ALTER TYPE ${type} ADD VALUE with the source's new label; the migration goes on by itself.`,
    sqlState: cause.code,
    cause,
  });

/** What may be told of a failure: texts of the classes 22 (data) and 23 (constraints) may hold values of rows. */
function describe({ code, message, constraint, column }: ServerError): string {
  const where = [constraint === undefined ? "" : `constraint ${constraint}`, column === undefined ? "" : `column ${column}`]
    .filter(Boolean)
    .join(", ");
  const what = code.startsWith("22") || code.startsWith("23") ? "" : `${message} `;
  return `${what}(SQLSTATE ${code}${where === "" ? "" : `, ${where}`})`;
}
