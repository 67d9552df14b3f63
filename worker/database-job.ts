import { type ConnectionReference } from "../contracts/connection.ts";
import { type SelectedDatabase } from "../contracts/commands.ts";
import { type ReportedError } from "../contracts/errors.ts";
import { type ReportItem } from "../contracts/reports.ts";
import { type CutoverOrder } from "./orders.ts";
import { type Phase } from "./phase.ts";
import { type SecretSource } from "./secrets.ts";

/** What the thread of one database is started with. Plain data: it crosses a thread's border. */
export interface DatabaseJob {
  readonly taskId: string;
  readonly epoch: number;
  readonly workerId: string;
  readonly logLevel: string;
  readonly source: ConnectionReference;
  readonly target: ConnectionReference;
  readonly selected: SelectedDatabase;
  /** Ids under which the task ran before it was restarted. */
  readonly earlierTaskIds: readonly string[];
  readonly secrets: SecretSource;
  readonly pgDumpPath: string | undefined;
  /** For log lines: the trace that the task belongs to. */
  readonly traceId?: string;
  /** How this database ended already, when only the cleaning up was left. */
  readonly ended: DatabaseEnd | undefined;
}

/** How a database's migration ended. */
export type DatabaseEnd = "COMPLETE" | "CANCELLED" | "FAILED";

/** What the main thread tells the thread of a database. */
export type ToDatabase =
  | ({ readonly kind: "cutover" } & CutoverOrder)
  | { readonly kind: "reload"; readonly commandId: string; readonly tableNames: readonly string[] }
  | { readonly kind: "cancel" }
  /** Stop at the next boundary without ending the migration: another worker goes on. */
  | { readonly kind: "stop" }
  /** The end was written down where it lasts; the bookkeeping may go. */
  | { readonly kind: "endRecorded" };

/** What the thread of a database tells the main thread. */
export type FromDatabase =
  | { readonly kind: "items"; readonly items: readonly ReportItem[] }
  | { readonly kind: "servers"; readonly sourceServerVersion: string; readonly targetServerVersion: string; readonly startedOn: string }
  | { readonly kind: "movedForward" }
  /** A phase is over. */
  | { readonly kind: "phase"; readonly phase: Phase }
  /** Something failed for the moment and is tried again. */
  | { readonly kind: "retried"; readonly what: string }
  | { readonly kind: "commandDone"; readonly commandId: string; readonly errors: readonly ReportedError[] }
  /** The migration is over; asks for `endRecorded` and then ends by itself. */
  | { readonly kind: "ended"; readonly end: DatabaseEnd; readonly wasRefused: boolean; readonly errors: readonly ReportedError[] }
  /** The target knows a later epoch than this worker's, although the session is ours: count on from there and try again. */
  | { readonly kind: "epochTooLow"; readonly knownEpoch: number }
  /** The thread stopped without the migration being over. */
  | { readonly kind: "stopped" };
