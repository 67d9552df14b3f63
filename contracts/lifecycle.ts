/**
 * The states of a task, a database and a table, in the wire's own words (odd spellings included; they live here only),
 * and the one table that says which event leads where. Code asks the table; nothing sets a state by hand.
 */

/** TaskState of the REST API. */
export const TASK_STATES = [
  "Queued",
  "Running",
  "Canceling",
  "Canceled",
  "Succeeded",
  "Failed",
  "FailedInputValidation",
  "Faulted",
  "Unknown",
] as const;
export type TaskState = (typeof TASK_STATES)[number];

export const TASK_EVENTS = ["started", "cancelAsked", "cancelled", "succeeded", "failed", "faulted", "inputRefused"] as const;
export type TaskEvent = (typeof TASK_EVENTS)[number];

const taskTransitions: Record<TaskState, Partial<Record<TaskEvent, TaskState>>> = {
  Queued: {
    started: "Running",
    cancelAsked: "Canceling",
    cancelled: "Canceled",
    succeeded: "Succeeded",
    failed: "Failed",
    faulted: "Faulted",
    inputRefused: "FailedInputValidation",
  },
  Running: {
    started: "Running",
    cancelAsked: "Canceling",
    cancelled: "Canceled",
    succeeded: "Succeeded",
    failed: "Failed",
    faulted: "Faulted",
    inputRefused: "FailedInputValidation",
  },
  // A task may reach its end while the cancel is on its way: the end that really happened is the one shown.
  Canceling: {
    started: "Canceling",
    cancelAsked: "Canceling",
    cancelled: "Canceled",
    succeeded: "Succeeded",
    failed: "Failed",
    faulted: "Faulted",
    inputRefused: "FailedInputValidation",
  },
  Canceled: {},
  Succeeded: {},
  Failed: {},
  FailedInputValidation: {},
  Faulted: {},
  Unknown: {
    started: "Running",
    cancelAsked: "Canceling",
    cancelled: "Canceled",
    succeeded: "Succeeded",
    failed: "Failed",
    faulted: "Faulted",
    inputRefused: "FailedInputValidation",
  },
};

/** SyncDatabaseMigrationReportingState of the REST API, as far as a migration of ours passes through it. */
export const DATABASE_STATES = [
  "UNDEFINED",
  "CONFIGURING",
  "INITIALIAZING", // sic: the wire's own spelling
  "STARTING",
  "RUNNING",
  "READY_TO_COMPLETE",
  "COMPLETING",
  "COMPLETE",
  "CANCELLING",
  "CANCELLED",
  "FAILED",
] as const;
export type DatabaseState = (typeof DATABASE_STATES)[number];

export type DatabaseEvent =
  | "validationBegan"
  | "preparationBegan"
  | "slotCreated"
  | "loadBegan"
  | "caughtUp"
  | "cutoverAsked"
  | "cutoverRefused"
  | "proven"
  | "cancelAsked"
  | "cancelled"
  | "failed";

const databaseTransitions: Record<DatabaseState, Partial<Record<DatabaseEvent, DatabaseState>>> = {
  UNDEFINED: { validationBegan: "CONFIGURING", cancelAsked: "CANCELLING", cancelled: "CANCELLED", failed: "FAILED" },
  CONFIGURING: { preparationBegan: "INITIALIAZING", cancelAsked: "CANCELLING", cancelled: "CANCELLED", failed: "FAILED" },
  INITIALIAZING: { slotCreated: "STARTING", cancelAsked: "CANCELLING", cancelled: "CANCELLED", failed: "FAILED" },
  STARTING: { loadBegan: "RUNNING", cancelAsked: "CANCELLING", cancelled: "CANCELLED", failed: "FAILED" },
  RUNNING: { loadBegan: "RUNNING", caughtUp: "READY_TO_COMPLETE", cancelAsked: "CANCELLING", cancelled: "CANCELLED", failed: "FAILED" },
  READY_TO_COMPLETE: {
    caughtUp: "READY_TO_COMPLETE",
    cutoverAsked: "COMPLETING",
    cancelAsked: "CANCELLING",
    cancelled: "CANCELLED",
    failed: "FAILED",
  },
  // A cutover that finds a difference or late writes is refused and the sync goes on: nothing is lost, the user may try again.
  COMPLETING: {
    cutoverAsked: "COMPLETING",
    cutoverRefused: "READY_TO_COMPLETE",
    proven: "COMPLETE",
    cancelAsked: "CANCELLING",
    cancelled: "CANCELLED",
    failed: "FAILED",
  },
  COMPLETE: {},
  CANCELLING: { cancelAsked: "CANCELLING", cancelled: "CANCELLED", failed: "FAILED" },
  CANCELLED: {},
  FAILED: {},
};

/** SyncTableMigrationState of the REST API. */
export const TABLE_STATES = ["BEFORE_LOAD", "FULL_LOAD", "COMPLETED", "CANCELED", "ERROR", "FAILED"] as const;
export type TableState = (typeof TABLE_STATES)[number];

/** CommandState of the REST API. */
export const COMMAND_STATES = ["Accepted", "Running", "Succeeded", "Failed", "Unknown"] as const;
export type CommandState = (typeof COMMAND_STATES)[number];

/** ReplicateMigrationState of the REST API: the one word for the whole migration. */
export type MigrationState = "UNDEFINED" | "VALIDATING" | "PENDING" | "COMPLETE" | "ACTION_REQUIRED" | "FAILED";

/** The state after the event, or undefined when the event does not belong to the state (a finished task stays finished). */
export const nextTaskState = (state: TaskState, event: TaskEvent): TaskState | undefined => taskTransitions[state][event];

/** The state after the event, or undefined when the event does not belong to the state. */
export const nextDatabaseState = (state: DatabaseState, event: DatabaseEvent): DatabaseState | undefined =>
  databaseTransitions[state][event];

/** Ends after which a migration may begin anew. It does so as a new task in the place of the old one, which stays ended. */
const RESTARTABLE_STATES: readonly TaskState[] = ["Canceled", "Failed", "FailedInputValidation", "Faulted"];

/** Whether a migration that ended so may be restarted. */
export const mayRestart = (state: TaskState): boolean => RESTARTABLE_STATES.includes(state);

/** A task in one of these states will never change again. */
export const isTaskOver = (state: TaskState): boolean => state !== "Unknown" && Object.keys(taskTransitions[state]).length === 0;
