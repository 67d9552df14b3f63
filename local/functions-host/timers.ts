import { nextOccurrence, type Schedule } from "./ncrontab.ts";
import { type InvocationInput } from "./invoke.ts";

/** Time, as the timers see it. Tests bring their own. */
export interface Clock {
  now(): Date;
  /** Calls back once after `delayMs`; the returned function calls that off. */
  after(delayMs: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => new Date(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};

/** A timer function. Its status is kept in memory: one process, no blob lease. */
export interface Timer {
  start(): void;
  stop(): void;
  /** Runs it now, beside the schedule; rejects as the function does. */
  fire(isPastDue: boolean): Promise<void>;
}

/** setTimeout counts in 31 bits; the loop looks at the clock again after this. */
const delayMsMax = 86_400_000;

/**
 * Runs `run` at each occurrence of the schedule. The next run is planned when the current one has ended, and a failing run does not stop the
 * schedule. `run` logs its own failures.
 */
export function createTimer(
  schedule: Schedule,
  runOnStartup: boolean,
  clock: Clock,
  run: (input: InvocationInput) => Promise<unknown>,
): Timer {
  let last: Date | undefined;
  let cancel = (): void => {};
  let stopped = true;

  const fire = async (isPastDue: boolean): Promise<void> => {
    const input = timerInput(schedule, last, clock.now(), isPastDue);
    last = clock.now();
    await run(input);
  };
  const plan = (due = nextOccurrence(schedule, clock.now())): void => {
    if (stopped || !due) return;
    const delayMs = due.getTime() - clock.now().getTime();
    cancel = delayMs > 0 ? clock.after(Math.min(delayMs, delayMsMax), () => plan(due)) : clock.after(0, runAndPlan);
  };
  const runAndPlan = (): void => {
    if (stopped) return;
    void fire(false)
      .catch(() => undefined)
      .then(() => plan());
  };
  return {
    fire,
    start() {
      stopped = false;
      if (runOnStartup) runAndPlan();
      else plan();
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}

const never = "0001-01-01T00:00:00+00:00"; // how .NET writes "no date"

function timerInput(schedule: Schedule, last: Date | undefined, now: Date, isPastDue: boolean): InvocationInput {
  const lastText = last?.toISOString() ?? never;
  const next = nextOccurrence(schedule, now)?.toISOString() ?? never;
  const timer = {
    Schedule: { AdjustForDST: true },
    ScheduleStatus: { Last: lastText, Next: next, LastUpdated: lastText },
    IsPastDue: isPastDue,
  };
  return { data: { json: JSON.stringify(timer) }, triggerMetadata: {} };
}
