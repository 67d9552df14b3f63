import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { formatLsn } from "../../contracts/lsn.ts";
import { displayName } from "../../contracts/tables.ts";
import { passing } from "../fault-points.ts";
import { connect } from "../postgres/connect.ts";
import { pipeCopy } from "../postgres/pipe-copy.ts";
import { processIdOf } from "../postgres/process-id.ts";
import { quoteLiteral, quoteName, quoteTable } from "../postgres/quote.ts";
import { takeOver, type RawSession } from "../postgres/raw-session.ts";
import { type Server, type Side } from "../postgres/server.ts";
import { type Ownership } from "../target/ownership.ts";
import { copyFromSql, copyToSql } from "./copy-sql.ts";
import { type TablePlan } from "./plan.ts";
import { type PartWork } from "./resume.ts";
import { SnapshotLost } from "./snapshot-lost.ts";
import { beginInSnapshotSql, isSnapshotUnknown, type LoadSnapshot, lockUnrewrittenSql } from "./snapshot-session.ts";

export interface StreamOptions {
  readonly source: Server;
  readonly target: Server;
  readonly ownership: Ownership;
  readonly snapshot: LoadSnapshot;
  /** Whether the target's role may set session_replication_role. */
  readonly canBeReplica: boolean;
  readonly clientEncoding: string;
  readonly signal: AbortSignal;
  /** Asked after every stretch of data, by all streams. */
  readonly throttle?: ((bytes: number) => Promise<void> | undefined) | undefined;
}

export type PartOutcome =
  | { readonly kind: "loaded"; readonly rows: number; readonly bytes: number }
  /** The table was rewritten after the snapshot was taken (TRUNCATE, VACUUM FULL, some ALTER TABLE): it needs a later one. */
  | { readonly kind: "rewritten" };

/** One pair of sessions that loads part after part: the source's in the snapshot, the target's in a transaction for each part. */
export class LoadStream {
  private readonly options: StreamOptions;
  private source: RawSession | undefined;
  private target: RawSession | undefined;
  /** Server processes of every session that was opened. */
  readonly pids: Readonly<Record<Side, number[]>> = { source: [], target: [] };

  constructor(options: StreamOptions) {
    this.options = options;
  }

  /**
   * Opens what is not open.
   * @throws SnapshotLost when the source's session must be opened and the snapshot is gone.
   */
  async open(): Promise<void> {
    if (!this.source?.isUsable) this.source = await this.openSource();
    if (!this.target?.isUsable) this.target = await this.openTarget();
  }

  /**
   * Loads one part and records it, in one transaction of the target. After an error the stream is closed, and opened again
   * by the next call of open().
   * @throws MigrationError LostOwnership, or what either server says.
   */
  async loadPart(work: PartWork, onBytes: (bytes: number) => void): Promise<PartOutcome> {
    const { source, target } = this;
    if (!source || !target) throw new Error("the stream is not open");
    try {
      const known = await this.beginPart(target, work);
      if (known) return known;
      const fileNode = await lockUnlessRewritten(source, work.plan);
      const outcome = fileNode === undefined ? REWRITTEN : await this.copyPart({ source, target }, { ...work, fileNode }, onBytes);
      // What the part locked on the source is let go, so that the application's DDL does not wait for the whole load.
      await source.query("ROLLBACK TO SAVEPOINT part");
      if (outcome.kind === "rewritten") await target.query("ROLLBACK");
      return outcome;
    } catch (thrown) {
      this.destroy();
      throw thrown;
    }
  }

  async close(): Promise<void> {
    await Promise.all([this.source?.end(), this.target?.end()]);
  }

  destroy(): void {
    this.source?.destroy();
    this.target?.destroy();
  }

  /**
   * The lock on the ledger's row waits for an earlier attempt whose connection broke at its commit; then its state says
   * whether that commit happened.
   */
  private async beginPart(target: RawSession, work: PartWork): Promise<PartOutcome | undefined> {
    const results = await target.query(`BEGIN; SELECT state, rows, bytes FROM pgdms.table_load WHERE ${ledgerRow(work)} FOR UPDATE`);
    const [state, rows, bytes] = (results[1]?.rows[0] ?? []).map((value) => value?.toString("utf8"));
    if (state === undefined) throw lostOwnership(this.options.ownership);
    if (state !== "done") return undefined;
    await target.query("ROLLBACK");
    return { kind: "loaded", rows: Number(rows), bytes: Number(bytes) };
  }

  private async copyPart(
    { source, target }: Readonly<Record<Side, RawSession>>,
    work: PartWork & { readonly fileNode: string },
    onBytes: (bytes: number) => void,
  ): Promise<PartOutcome> {
    const { signal, ownership, snapshot, throttle } = this.options;
    const sql = { sourceSql: copyToSql(work.plan, work.range), targetSql: copyFromSql(work.plan) };
    const rest = (bytes: number): Promise<void> | undefined => passing("table-half-copied") ?? throttle?.(bytes);
    const { rows, bytes } = await pipeCopy({ source, target, ...sql }, { signal, onBytes, throttle: rest });
    await passing("copied-not-recorded");
    const [fence, update] = await target.query(
      `SELECT FROM pgdms.migration WHERE task_id = ${quoteLiteral(ownership.taskId)} AND epoch = ${ownership.epoch} FOR KEY SHARE;
       UPDATE pgdms.table_load SET state = 'done', snapshot_lsn = '${formatLsn(snapshot.lsn)}', source_file = ${work.fileNode},
              rows = ${rows}, bytes = ${bytes}, started_on = now(), ended_on = clock_timestamp() WHERE ${ledgerRow(work)}`,
    );
    if (fence?.rowCount !== 1 || update?.rowCount !== 1) throw lostOwnership(ownership);
    await target.query("COMMIT");
    await passing("part-recorded");
    return { kind: "loaded", rows, bytes };
  }

  private async openSource(): Promise<RawSession> {
    const { source, snapshot, clientEncoding, signal } = this.options;
    if (!snapshot.isAlive()) throw new SnapshotLost("the session that exported the snapshot has ended");
    const session = takeOver(
      this.noted("source", await connect(source, { purpose: loadPurpose(this.options.ownership), clientEncoding })),
      "source",
      signal,
    );
    try {
      await session.query(`${beginInSnapshotSql(snapshot)}; SAVEPOINT part`);
      return session;
    } catch (thrown) {
      session.destroy();
      if (isSnapshotUnknown(thrown)) throw new SnapshotLost("the source does not know the snapshot any more", thrown);
      throw thrown;
    }
  }

  private async openTarget(): Promise<RawSession> {
    const { target, canBeReplica, clientEncoding, signal } = this.options;
    // Triggers and foreign keys stay quiet: the rows have passed them on the source.
    const session: Record<string, string> = canBeReplica ? { session_replication_role: "replica" } : {};
    const client = await connect(target, { purpose: loadPurpose(this.options.ownership), clientEncoding, session });
    return takeOver(this.noted("target", client), "target", signal);
  }

  private noted(side: Side, client: pg.Client): pg.Client {
    const pid = processIdOf(client);
    if (pid !== undefined) this.pids[side].push(pid);
    return client;
  }
}

/** What the sessions of a load are called. */
export const loadPurpose = ({ taskId }: Ownership): string => `${taskId.slice(0, 8)} load`;

const REWRITTEN: PartOutcome = { kind: "rewritten" };

/**
 * Locks a table against being rewritten while it is read, and sees whether it was since the snapshot.
 * @returns the number of the table's file; undefined when it was rewritten.
 * @throws MigrationError SourceTableChanged when a column has another type than the plan says: its binary form would be
 * taken for that of the planned type.
 */
async function lockUnlessRewritten(source: RawSession, { table, columns }: TablePlan): Promise<string | undefined> {
  const name = quoteTable(table);
  const types = ["1", ...columns.map((column) => `pg_typeof(t.${quoteName(column.name)})::oid`)].join(", ");
  const [, file, now] = await source.query(
    `${lockUnrewrittenSql(table)};
     SELECT ${types} FROM (SELECT) one LEFT JOIN (SELECT * FROM ONLY ${name} LIMIT 0) t ON true`,
  );
  const fileNode = file?.rows[0]?.[0]?.toString("latin1");
  if (fileNode === undefined) return undefined;
  const typesNow = (now?.rows[0] ?? []).slice(1).map((oid) => Number(oid?.toString("latin1")));
  const changed = columns.find(({ typeOid }, n) => typesNow[n] !== typeOid);
  if (!changed) return fileNode;
  throw new MigrationError("SourceTableChanged", {
    table: displayName(table),
    detail: `Column ${changed.name} of ${displayName(table)} got another type while the load was on its way.`,
    remedy: "Give the target's column the same type and run the task again.",
  });
}

const ledgerRow = ({ plan: { table }, part }: PartWork): string =>
  `schema_name = ${quoteLiteral(table.schema)} AND table_name = ${quoteLiteral(table.name)} AND part = ${part}`;

const lostOwnership = ({ epoch }: Ownership): MigrationError =>
  new MigrationError("LostOwnership", { detail: `This worker held epoch ${epoch}.` });
