import { MigrationError } from "../../contracts/errors.ts";
import { formatLsn, type Lsn } from "../../contracts/lsn.ts";
import { passing } from "../fault-points.ts";
import { type PreparedStep, type Step } from "../postgres/raw-session.ts";
import { type Ownership } from "../target/ownership.ts";
import { type ApplySession } from "./apply-session.ts";
import { type Change } from "./change.ts";
import { type ChangeCounts, countChanges } from "./counts.ts";
import { fold, type Segment } from "./fold.ts";
import { type Group } from "./group.ts";
import { statementFor } from "./in-order.ts";
import { type Lanes } from "./lanes.ts";
import { atOnce, type CheckedStep, netSteps, preparedStep, statementStep } from "./net-steps.ts";
import { POSITION_STEPS } from "./step-failures.ts";

/** Statements of one pipeline when changes are applied one by one: bounds the answers held in memory. */
const IN_ORDER_CHUNK = 1_000;

/** Statements that go out with their commit: a group of so few arrives sooner, and a larger one gains nothing by it. */
const AT_ONCE_MAX = 16;

const UNIQUE_VIOLATION = "23505";
const EXCLUSION_VIOLATION = "23P01";
const NOT_SUPPORTED = "0A000";
const FAILED_TRANSACTION = "25P02";

/**
 * Brings groups of changes to the target, each in one target transaction with its position, and only while this worker
 * owns the migration. A group is applied set-wise; when a unique value moves between rows so that the set cannot be
 * applied, the same group is applied change by change in the order of the source.
 */
export class Applier {
  readonly #session: ApplySession;
  readonly #lanes: Lanes;
  readonly #ownership: Ownership;
  #position: Lsn;
  /** Of the first group lanes of an earlier connection may have applied some rows. */
  #isRepairNext: boolean;
  /** A piece of a large transaction was applied; its transaction is open on the target. */
  #isOpen = false;
  /** Until the target has a table whose changes cannot be told by the number of rows: one with rules. */
  #takesAtOnce = true;
  /** Resolves when the next group may be sent: the one before is a piece of the same transaction, or its COMMIT is on its way. */
  #turn: Promise<void> = Promise.resolve();
  /** Settles when the last piece that was sent is applied and checked. */
  #lastPiece: Promise<void> = Promise.resolve();
  /** Pieces that failed and are being applied in another way: nothing may be sent into the middle of that. */
  #troubles = 0;
  /** Settles when the target has answered the last COMMIT. */
  #committed: Promise<void> = Promise.resolve();

  /** @param applied as the bookkeeping has it: every group is applied on top of the one before, or not at all. */
  constructor(session: ApplySession, lanes: Lanes, ownership: Ownership, applied: Applied) {
    this.#session = session;
    this.#lanes = lanes;
    this.#ownership = ownership;
    this.#position = applied.position;
    this.#isRepairNext = isHalfApplied(applied);
  }

  /** A session has gathered more statements than is good for it: forget them, between two transactions. */
  get isWorn(): boolean {
    return !this.#isOpen && this.#sessions.some((session) => session.isWorn);
  }

  async forgetStatements(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.forgetStatements()));
  }

  get #sessions(): readonly ApplySession[] {
    return [this.#session, ...this.#lanes.others];
  }

  /**
   * Applies a group; when it returns, a whole group is durable and a piece is in the open transaction. May be called again
   * before it returns: the next group is folded meanwhile and goes out right behind the COMMIT. Should that COMMIT fail
   * after all, the next group fails with it, since it asks for the position that the COMMIT would have left.
   * @throws MigrationError LostOwnership, ApplyFailed, RowMissingOnTarget; or a transient failure, after which the
   * session is of no more use and the target has nothing of the group, or, in lanes, what the next connection will repair.
   */
  async apply(group: Group): Promise<ChangeCounts> {
    const counts = countChanges(group.changes);
    const segments = fold(group.changes);
    const isRepair = this.#isRepairNext;
    this.#isRepairNext = false;
    const changes = segments.flatMap(isRepair ? repairSteps : segmentSteps);
    const sent = this.#turn.then(() => this.#send({ group, segments, changes, counts, isRepair }));
    this.#turn = sent.then(() => undefined);
    this.#turn.catch(() => undefined); // there may be no next group to hear of it
    const { done } = await sent;
    await done;
    return counts;
  }

  /**
   * Sends a piece, and lets the next one follow at once; or applies what is whole, and sends the COMMIT once it is checked, without
   * waiting for its answer.
   */
  async #send(work: Work): Promise<{ done: Promise<void> }> {
    const { endLsn } = work.group;
    if (!work.isRepair && ((await this.#isAppliedInLanes(work)) || (await this.#isAppliedAtOnce(work)))) return { done: Promise.resolve() };
    if (this.#troubles > 0) await this.#lastPiece;
    const applied = this.#apply(work, this.#isOpen, this.#lastPiece);
    this.#isOpen = endLsn === undefined;
    this.#lastPiece = this.#isOpen ? applied : Promise.resolve();
    this.#lastPiece.catch(() => undefined); // whoever waits for the piece hears of it
    if (endLsn === undefined) return { done: applied };
    await applied;
    this.#position = endLsn;
    this.#committed = this.#session.run([COMMIT]);
    this.#committed.catch(() => undefined);
    return { done: this.#committed };
  }

  /** @param before the piece before in the same transaction: what it says comes first. */
  async #apply(work: Work, isOpen: boolean, before: Promise<void>): Promise<void> {
    const { group, segments, changes, counts, isRepair } = work;
    const { endLsn } = group;
    const begin = [beginStep(isOpen), ...(isRepair && endLsn !== undefined ? [this.#positionStep("announce", endLsn)] : [])];
    const records = [...counts.steps(), ...(endLsn === undefined ? [] : [this.#positionStep("move", endLsn)])];
    try {
      // One write, one wait: after an error the server passes the rest over.
      await this.#session.run([...begin, ...changes, ...records]);
      await before;
    } catch (thrown) {
      this.#troubles++;
      try {
        await before;
        // The piece before failed when this one had been sent already, and was then applied in its order.
        if (isPassedOver(thrown)) return await this.#apply({ ...work, changes: segments.flatMap(segmentSteps) }, isOpen, Promise.resolve());
        // Lanes do not commit where there are such: in a repair too nothing of the group is there then.
        if (!isUniqueConflict(thrown)) throw thrown;
        await this.#applyInOrder(group.changes);
        await this.#session.run(records);
      } finally {
        this.#troubles--;
      }
    }
  }

  /**
   * Applies a few changes in one round trip, from BEGIN to COMMIT: each statement fails by itself when it does not find its row,
   * and the server passes over everything that follows one that failed, the COMMIT as well.
   * @returns false when it was not tried or anything failed: the target then has nothing of the group, and the other way says why.
   */
  async #isAppliedAtOnce({ group: { endLsn }, changes, counts }: Work): Promise<boolean> {
    if (!this.#takesAtOnce || this.#isOpen || endLsn === undefined || changes.length > AT_ONCE_MAX) return false;
    const statements = changes.flatMap(atOnce);
    if (statements.length < changes.length) return false;
    const steps = [...BEGIN_AT_ONCE, ...statements, ...counts.preparedSteps(), this.#positionStep("move", endLsn).step, COMMIT_AT_ONCE];
    const results = await this.#session.tryRun(steps);
    if (results.every(({ error }) => error === undefined)) {
      this.#position = endLsn;
      return true;
    }
    if (this.#session.isInTransaction) await this.#session.run([ROLLBACK]);
    if (results.some(({ error }) => error?.code === NOT_SUPPORTED)) this.#takesAtOnce = false;
    return false;
  }

  /**
   * Applies parts of a group in several sessions at once. Their COMMITs are several too: it is written down first that they
   * may come, and the position moves with the last one, so that a group of which only some came is known and repaired.
   * @returns false when it cannot be spread, or one of them failed: nothing of it was committed, and the other way says why.
   */
  async #isAppliedInLanes({ group, segments, counts }: Work): Promise<boolean> {
    const parts = this.#isOpen ? undefined : this.#lanes.partsOf(group, segments);
    if (parts === undefined || group.endLsn === undefined) return false;
    await this.#committed; // the others see only what is committed
    await this.#session.run([this.#positionStep("announce", group.endLsn)]);
    const applied = await Promise.allSettled(
      this.#sessions.map((session, n) => session.run([BEGIN_LANE, ...(parts[n] ?? []).flatMap(netSteps)])),
    );
    if (applied.some(({ status }) => status === "rejected")) {
      await Promise.all(this.#sessions.map((session) => session.run([ROLLBACK])));
      await this.#session.run([this.#positionStep("move", this.#position)]); // takes the announcement back
      return false;
    }
    await Promise.all(this.#lanes.others.map((lane) => lane.run([this.#positionStep("require", this.#position), COMMIT])));
    await passing("lanes-half-committed");
    await this.#session.run([...counts.steps(), this.#positionStep("move", group.endLsn), COMMIT]);
    this.#position = group.endLsn;
    return true;
  }

  async #applyInOrder(changes: readonly Change[]): Promise<void> {
    await this.#session.run([unchecked({ sql: "ROLLBACK TO SAVEPOINT pgdms" })]);
    for (let n = 0; n < changes.length; n += IN_ORDER_CHUNK) {
      await this.#session.run(changes.slice(n, n + IN_ORDER_CHUNK).map((change) => statementStep(statementFor(change))));
    }
  }

  /**
   * Moves the position on, announces the next one, or only requires it, in one step without a round trip. Fails with a division
   * by zero when another worker has taken over, and also when the position is not where this session left it: a COMMIT of an
   * earlier connection, whose answer was lost, may arrive after the position was read, and the same changes must then not be
   * applied again. The row stays locked until the COMMIT, so lanes of an earlier connection come before a repair or not at all.
   */
  #positionStep(what: keyof typeof POSITION_STEPS, to: Lsn): CheckedStep & { step: PreparedStep } {
    const { taskId, epoch } = this.#ownership;
    const values = [formatLsn(to), taskId, String(epoch), formatLsn(this.#position)].map((value) => Buffer.from(value));
    return unchecked({ prepared: POSITION_STEPS[what], parse: { sql: POSITION_SQL[what] }, values });
  }
}

/** One group on its way. */
interface Work {
  readonly group: Group;
  readonly segments: readonly Segment[];
  readonly changes: readonly CheckedStep[];
  readonly counts: ChangeCounts;
  /** Some of its rows may be on the target already. */
  readonly isRepair: boolean;
}

/** What the bookkeeping has of the position. */
export interface Applied {
  /** Every source commit before it is on the target. */
  readonly position: Lsn;
  /** When it is later: rows of the changes up to here may be on the target too. */
  readonly lanesTo?: Lsn | undefined;
}

/** Some sessions have committed their part of a group, and others may not have. */
export const isHalfApplied = ({ position, lanesTo }: Applied): boolean => lanesTo !== undefined && lanesTo > position;

const unchecked = <S extends Step>(step: S): CheckedStep & { step: S } => ({ step, table: undefined, rowCount: undefined });

/** Deferred constraints of the source were checked at its commit; here they are checked at ours. */
const beginStep = (isOpen: boolean): CheckedStep =>
  unchecked({ sql: isOpen ? "RELEASE SAVEPOINT pgdms; SAVEPOINT pgdms" : "BEGIN; SET CONSTRAINTS ALL DEFERRED; SAVEPOINT pgdms" });

/** Lanes that wait for each other after all (a trigger, a rule) must not do so for ever: nothing but us knows that they do. */
const BEGIN_LANE = unchecked({ sql: "BEGIN; SET CONSTRAINTS ALL DEFERRED; SET LOCAL lock_timeout = '5s'" });
const COMMIT = unchecked({ sql: "COMMIT" });
const ROLLBACK = unchecked({ sql: "ROLLBACK" });

const segmentSteps = (segment: Segment): CheckedStep[] =>
  segment.kind === "net" ? segment.tables.flatMap(netSteps) : [statementStep(statementFor(segment.change))];

/**
 * The same for rows that are as they were before the group or as they are after it: what is inserted may be there, what is
 * deleted may be gone, and an update changes nothing the second time.
 */
function repairSteps(segment: Segment): CheckedStep[] {
  if (segment.kind === "single")
    throw new MigrationError("ApplyFailed", {
      detail: "Lanes have applied some of these changes, and they can no longer be told apart.",
      remedy: "Reload the tables.",
    });
  const steps = segment.tables.flatMap((net) => netSteps({ ...net, deletes: [...net.deletes, ...net.inserts] }));
  return steps.map((step) => ({ ...step, rowCount: undefined }));
}

/** The same as prepared statements, for what goes out with its commit. */
const BEGIN_AT_ONCE = [preparedStep("BEGIN"), preparedStep("SET CONSTRAINTS ALL DEFERRED")];
const COMMIT_AT_ONCE = preparedStep("COMMIT");

const OWNED_ROW = "task_id = $2 AND epoch = $3 AND coalesce(position, slot_lsn) = $4";
const POSITION_SQL = {
  move: `WITH moved AS (UPDATE pgdms.migration SET position = $1, lanes_to = NULL WHERE ${OWNED_ROW} RETURNING 1) SELECT 1 / count(*) FROM moved`,
  announce: `WITH told AS (UPDATE pgdms.migration SET lanes_to = $1 WHERE ${OWNED_ROW} RETURNING 1) SELECT 1 / count(*) FROM told`,
  // Held until the COMMIT: a worker that takes over waits for it.
  require: `WITH held AS (SELECT 1 FROM pgdms.migration WHERE $1::pg_lsn IS NOT NULL AND ${OWNED_ROW} FOR SHARE) SELECT 1 / count(*) FROM held`,
} as const;

/** The server took nothing of it, since something before it in the transaction had failed. */
const isPassedOver = (thrown: unknown): boolean => thrown instanceof MigrationError && thrown.detail.sqlState === FAILED_TRANSACTION;

const isUniqueConflict = (thrown: unknown): boolean =>
  thrown instanceof MigrationError && (thrown.detail.sqlState === UNIQUE_VIOLATION || thrown.detail.sqlState === EXCLUSION_VIOLATION);
