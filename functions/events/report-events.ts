import { reported, type ReportedError } from "../../contracts/errors.ts";
import { type ReportStamp } from "../../contracts/progress.ts";
import { type DatabaseProgress, type Finding, type ReportItem, type TableProgress } from "../../contracts/reports.ts";
import { taskResourceId } from "../addresses.ts";
import { type OutputRow, type Watched } from "../store/task-outputs.ts";
import { eventOf, type EventData, type PgdmsEvent } from "./event.ts";
import { aboutTask, type EventTask } from "./task-events.ts";

/** From here on a database's figures are worth a warning. */
export interface WarningLevels {
  readonly lagSeconds: number;
  readonly walHeldBytes: number;
}

/** The report that an item came in. */
export interface ReportContext {
  readonly task: EventTask;
  readonly stamp: ReportStamp;
  readonly sentAt: string;
  readonly levels: WarningLevels;
}

interface ItemEvents {
  readonly events: readonly PgdmsEvent[];
  /** Which figures of a database are above their level: to be kept with it. */
  readonly above: readonly Watched[];
}

/** Whether an item may be an occasion for an event, so that what was known before must be looked up. */
export const mayTell = (item: ReportItem): boolean =>
  item.kind === "database" || item.kind === "finding" || (item.kind === "table" && item.error !== undefined);

/**
 * What is to be told of one item of a report: the difference to what was known of its thing.
 * @param index of the item in its report; with the stamp it makes ids that are the same when the report comes again
 */
export function eventsOfItem(context: ReportContext, before: OutputRow | undefined, item: ReportItem, index: number): ItemEvents {
  switch (item.kind) {
    case "database":
      return databaseEvents(context, before, item, index);
    case "finding":
      return { events: findingEvents(context, before?.item, item, index), above: [] };
    case "table":
      return { events: tableEvents(context, before?.item, item, index), above: [] };
    default:
      return { events: [], above: [] };
  }
}

const idOf = ({ task, stamp }: ReportContext, index: number, what: string): string =>
  `${task.taskId}/${stamp.epoch}.${stamp.sequence}.${index}/${what}`;

function databaseEvents(context: ReportContext, before: OutputRow | undefined, database: DatabaseProgress, index: number): ItemEvents {
  const previousState = before?.item.kind === "database" ? before.item.state : null;
  const above = levelsPassed(context.levels, before?.above ?? [], database);
  const events = levelEvents(context, before?.above ?? [], above, database, index);
  if (previousState === database.state) return { events, above };
  const { databaseName, targetDatabaseName, state, pendingChanges, latencySeconds } = database;
  const { task, sentAt: time } = context;
  const about = aboutTask(task, databaseName);
  const data = { resourceId: taskResourceId(task.path), taskId: task.taskId, databaseName, targetDatabaseName };
  const severity = state === "FAILED" ? "error" : "information";
  const changed = eventOf(
    "pgdms.database.stateChanged",
    { ...about, id: idOf(context, index, "state"), time, severity },
    { ...data, state, previousState },
  );
  const ready =
    state === "READY_TO_COMPLETE"
      ? [
          eventOf(
            "pgdms.database.readyToCutover",
            { ...about, id: idOf(context, index, "ready"), time },
            { ...data, pendingChanges, latencySeconds },
          ),
        ]
      : [];
  return { events: [changed, ...ready, ...events], above };
}

const GIB = 1024 ** 3;

const watched: Readonly<
  Record<Watched, { of(database: DatabaseProgress): number; level(levels: WarningLevels): number; error(value: number): ReportedError }>
> = {
  lag: {
    of: ({ latencySeconds, initializationCompleted }) => (initializationCompleted ? latencySeconds : 0),
    level: ({ lagSeconds }) => lagSeconds,
    error: (seconds) => reported("TargetLags", { detail: `It is ${Math.round(seconds)} seconds behind.` }),
  },
  walHeld: {
    of: ({ walHeldBytes }) => walHeldBytes,
    level: ({ walHeldBytes }) => walHeldBytes,
    error: (bytes) => reported("WalHeldBack", { detail: `It is ${(bytes / GIB).toFixed(1)} GiB.` }),
  },
};
const WATCHED = Object.keys(watched) as Watched[];

/** A figure that was above its level counts as above until it is half of it: one that swings around the level is told once. */
function levelsPassed(levels: WarningLevels, above: readonly Watched[], database: DatabaseProgress): Watched[] {
  if (database.endedOn !== null) return [];
  return WATCHED.filter((name) => watched[name].of(database) >= watched[name].level(levels) * (above.includes(name) ? 0.5 : 1));
}

function levelEvents(
  context: ReportContext,
  before: readonly Watched[],
  now: readonly Watched[],
  database: DatabaseProgress,
  index: number,
): PgdmsEvent[] {
  return WATCHED.filter((name) => before.includes(name) !== now.includes(name)).map((name) =>
    troubleEvent(context, idOf(context, index, name), {
      databaseName: database.databaseName,
      status: now.includes(name) ? "raised" : "resolved",
      about: name === "lag" ? "latencySeconds" : "walHeldBytes",
      error: { ...watched[name].error(watched[name].of(database)), databaseName: database.databaseName },
    }),
  );
}

function findingEvents(context: ReportContext, before: ReportItem | undefined, finding: Finding, index: number): PgdmsEvent[] {
  if (finding.error.severity === "information") return [];
  const wasRaised = before?.kind === "finding" && !before.resolved;
  if (wasRaised !== finding.resolved) return []; // raised and told already, or over before it was ever told
  return [
    troubleEvent(context, idOf(context, index, "finding"), {
      ...(finding.databaseName === undefined ? {} : { databaseName: finding.databaseName }),
      status: finding.resolved ? "resolved" : "raised",
      about: finding.subject,
      error: finding.error,
    }),
  ];
}

function tableEvents(context: ReportContext, before: ReportItem | undefined, table: TableProgress, index: number): PgdmsEvent[] {
  if (table.error === undefined || (before?.kind === "table" && before.error?.code === table.error.code)) return [];
  const name = `${table.schema}.${table.name}`;
  return [
    troubleEvent(context, idOf(context, index, "table"), {
      databaseName: table.databaseName,
      status: "raised",
      about: name,
      error: { ...table.error, table: table.error.table ?? name },
    }),
  ];
}

type Trouble = Omit<EventData<"pgdms.error">, "resourceId" | "taskId">;

function troubleEvent({ task, sentAt: time }: ReportContext, id: string, trouble: Trouble): PgdmsEvent {
  const { severity } = trouble.error;
  return eventOf(
    severity === "error" ? "pgdms.error" : "pgdms.warning",
    { ...aboutTask(task, trouble.databaseName), id, time, severity: trouble.status === "resolved" ? "information" : severity },
    { resourceId: taskResourceId(task.path), taskId: task.taskId, ...trouble },
  );
}
