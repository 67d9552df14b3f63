import { MigrationError } from "../../contracts/errors.ts";
import { formatLsn, type Lsn } from "../../contracts/lsn.ts";
import { displayName } from "../../contracts/tables.ts";
import { isEncodingFailure, textNotConvertible } from "../postgres/encoding.ts";
import { isTransient } from "../postgres/failures.ts";
import { type PreparedStep, type RawSession, type Step } from "../postgres/raw-session.ts";
import { type StepResult } from "../postgres/wire/exchanges.ts";
import { type ServerError } from "../postgres/wire/server-error.ts";
import { type Ownership } from "../target/ownership.ts";
import { type Change } from "./change.ts";
import { type ChangeCounts, countChanges } from "./counts.ts";
import { fold, type Segment } from "./fold.ts";
import { type Group } from "./group.ts";
import { statementFor } from "./in-order.ts";
import { atOnce, type CheckedStep, netSteps, preparedStep, statementStep } from "./net-steps.ts";
import { type SyncTable } from "./sync-table.ts";

/** Statements of one pipeline when changes are applied one by one: bounds the answers held in memory. */
const IN_ORDER_CHUNK = 1_000;

/** Statements that go out with their commit: a group of so few arrives sooner, and a larger one gains nothing by it. */
const AT_ONCE_MAX = 16;

/** Prepared statements of one session; past that they are all dropped, for the memory that they hold on the target. */
const STATEMENTS_MAX = 2_000;

/** Name of the statement that moves the position on. */
const POSITION = "pgdms_position";

const UNIQUE_VIOLATION = "23505";
const EXCLUSION_VIOLATION = "23P01";
const DIVISION_BY_ZERO = "22012";
const NOT_SUPPORTED = "0A000";
const INVALID_TEXT = "22P02";
const UNKNOWN_LABEL = /^invalid input value for enum (.+?): /;

/**
 * Brings groups of changes to the target, each in one target transaction with its position, and only while this worker
 * owns the migration. A group is applied set-wise; when a unique value moves between rows so that the set cannot be
 * applied, the same group is applied change by change in the order of the source.
 */
export class Applier {
  readonly #session: RawSession;
  readonly #ownership: Ownership;
  readonly #statements = new Set<string>();
  #position: Lsn;
  /** A piece of a large transaction was applied; its transaction is open on the target. */
  #isOpen = false;
  /** Until the target has a table whose changes cannot be told by the number of rows: one with rules. */
  #takesAtOnce = true;
  /** Resolves when the next group may be sent: the one before was checked, and its COMMIT is on its way. */
  #turn: Promise<void> = Promise.resolve();

  /** @param position as the bookkeeping has it: every group is applied on top of the one before, or not at all. */
  constructor(session: RawSession, ownership: Ownership, position: Lsn) {
    this.#session = session;
    this.#ownership = ownership;
    this.#position = position;
  }

  /** The session has gathered more statements than is good for it: forget them, between two transactions. */
  get isWorn(): boolean {
    return this.#statements.size > STATEMENTS_MAX && !this.#isOpen;
  }

  /** Drops all statements. A new session instead would read the definitions of all tables anew: seconds, where they are thousands. */
  async forgetStatements(): Promise<void> {
    this.#statements.clear();
    await this.#session.forgetStatements();
  }

  /**
   * Applies a group; when it returns, a whole group is durable and a piece is in the open transaction. May be called again
   * before it returns: the next group is folded meanwhile and goes out right behind the COMMIT. Should that COMMIT fail
   * after all, the next group fails with it, since it asks for the position that the COMMIT would have left.
   * @throws MigrationError LostOwnership, ApplyFailed, RowMissingOnTarget; or a transient failure, after which the
   * session is of no more use and the target has nothing of the group.
   */
  async apply(group: Group): Promise<ChangeCounts> {
    const counts = countChanges(group.changes);
    const changes = fold(group.changes).flatMap(segmentSteps);
    const sent = this.#turn.then(() => this.#send(group, changes, counts));
    this.#turn = sent.then(() => undefined);
    this.#turn.catch(() => undefined); // there may be no next group to hear of it
    const { committed } = await sent;
    await committed;
    return counts;
  }

  /** Applies the changes and, once they are checked, sends the COMMIT of a whole group without waiting for its answer. */
  async #send(group: Group, changes: readonly CheckedStep[], counts: ChangeCounts): Promise<{ committed: Promise<void> }> {
    const { endLsn } = group;
    if (await this.#isAppliedAtOnce(group, changes, counts)) return { committed: Promise.resolve() };
    const records = [
      ...counts.steps(),
      ...(endLsn === undefined ? [] : [unchecked(positionStep(this.#ownership, this.#position, endLsn))]),
    ];
    try {
      // One write, one wait: after an error the server passes the rest over.
      await this.#run([beginStep(this.#isOpen), ...changes, ...records]);
    } catch (thrown) {
      if (!isUniqueConflict(thrown)) throw thrown;
      await this.#applyInOrder(group.changes);
      await this.#run(records);
    }
    this.#isOpen = endLsn === undefined;
    if (endLsn === undefined) return { committed: Promise.resolve() };
    this.#position = endLsn;
    const committed = this.#run([unchecked({ sql: "COMMIT" })]);
    committed.catch(() => undefined);
    return { committed };
  }

  /**
   * Applies a few changes in one round trip, from BEGIN to COMMIT: each statement fails by itself when it does not find its row,
   * and the server passes over everything that follows one that failed, the COMMIT as well.
   * @returns false when it was not tried or anything failed: the target then has nothing of the group, and the other way says why.
   */
  async #isAppliedAtOnce({ endLsn }: Group, changes: readonly CheckedStep[], counts: ChangeCounts): Promise<boolean> {
    if (!this.#takesAtOnce || this.#isOpen || endLsn === undefined || changes.length > AT_ONCE_MAX) return false;
    const statements = changes.flatMap(atOnce);
    if (statements.length < changes.length) return false;
    const records = [...counts.preparedSteps(), positionStep(this.#ownership, this.#position, endLsn)];
    const steps = [...BEGIN_AT_ONCE, ...statements, ...records, COMMIT_AT_ONCE];
    for (const { prepared } of steps) this.#statements.add(prepared);
    const results = await this.#session.pipeline(steps);
    if (results.every(({ error }) => error === undefined)) {
      this.#position = endLsn;
      return true;
    }
    if (this.#session.transactionStatus !== "I") await this.#run([unchecked({ sql: "ROLLBACK" })]);
    if (results.some(({ error }) => error?.code === NOT_SUPPORTED)) this.#takesAtOnce = false;
    return false;
  }

  async #applyInOrder(changes: readonly Change[]): Promise<void> {
    await this.#run([unchecked({ sql: "ROLLBACK TO SAVEPOINT pgdms" })]);
    for (let n = 0; n < changes.length; n += IN_ORDER_CHUNK) {
      await this.#run(changes.slice(n, n + IN_ORDER_CHUNK).map((change) => statementStep(statementFor(change))));
    }
  }

  async #run(steps: readonly CheckedStep[]): Promise<void> {
    for (const { step } of steps) if ("prepared" in step) this.#statements.add(step.prepared);
    const results = await this.#session.pipeline(steps.map(({ step }) => step));
    results.forEach((result, n) => requireSuccess(result, steps[n] as CheckedStep));
  }
}

/** Deferred constraints of the source were checked at its commit; here they are checked at ours. */
const beginStep = (isOpen: boolean): CheckedStep =>
  unchecked({ sql: isOpen ? "RELEASE SAVEPOINT pgdms; SAVEPOINT pgdms" : "BEGIN; SET CONSTRAINTS ALL DEFERRED; SAVEPOINT pgdms" });

const unchecked = (step: Step): CheckedStep => ({ step, table: undefined, rowCount: undefined });

const segmentSteps = (segment: Segment): CheckedStep[] =>
  segment.kind === "net" ? segment.tables.flatMap(netSteps) : [statementStep(statementFor(segment.change))];

/** The same as prepared statements, for what goes out with its commit. */
const BEGIN_AT_ONCE = [preparedStep("BEGIN"), preparedStep("SET CONSTRAINTS ALL DEFERRED")];
const COMMIT_AT_ONCE = preparedStep("COMMIT");

/**
 * Moves the position on, in one step without a round trip. Fails with a division by zero when another worker has taken
 * over, and also when the position is not where this session left it: a COMMIT of an earlier connection, whose answer was
 * lost, may arrive after the position was read, and the same changes must then not be applied again.
 */
function positionStep({ taskId, epoch }: Ownership, from: Lsn, to: Lsn): PreparedStep {
  const sql = `WITH moved AS (
      UPDATE pgdms.migration SET position = $1
       WHERE task_id = $2 AND epoch = $3 AND coalesce(position, slot_lsn) = $4 RETURNING 1)
    SELECT 1 / count(*) FROM moved`;
  const values = [formatLsn(to), taskId, String(epoch), formatLsn(from)].map((value) => Buffer.from(value));
  return { prepared: POSITION, parse: { sql }, values };
}

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

const isUniqueConflict = (thrown: unknown): boolean =>
  thrown instanceof MigrationError && (thrown.detail.sqlState === UNIQUE_VIOLATION || thrown.detail.sqlState === EXCLUSION_VIOLATION);

function requireSuccess(result: StepResult, { rowCount, table, step }: CheckedStep): void {
  if (result.error) throw stepFailure(result.error, table, "prepared" in step && step.prepared === POSITION);
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
