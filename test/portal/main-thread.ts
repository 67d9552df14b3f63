import { type Page } from "playwright-core";

/** One task of the page's main thread: how long it kept the thread, and how much of that it was computing, in ms. */
export interface MainThreadTask {
  readonly wallMs: number;
  readonly cpuMs: number;
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

/**
 * Records the tasks of the page's main thread while `work` runs. The CPU time is what the page is to blame for: on a
 * machine that is busy with other things every task takes longer by the clock.
 */
export async function recordTasks(page: Page, work: () => Promise<void>): Promise<MainThreadTask[]> {
  const session = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  session.on("Tracing.dataCollected", ({ value }) => void events.push(...(value as unknown as TraceEvent[])));
  await session.send("Tracing.start", {
    transferMode: "ReportEvents",
    traceConfig: {
      includedCategories: ["toplevel", "disabled-by-default-devtools.timeline", "devtools.timeline"],
      recordMode: "recordAsMuchAsPossible",
    },
  });
  await work();
  const complete = new Promise<void>((resolve) => session.once("Tracing.tracingComplete", () => resolve()));
  await session.send("Tracing.end");
  await complete;
  return tasksOf(events);
}

/** Tasks nest (a task may run others while it waits): the outer one counts, and contains the inner ones. */
function tasksOf(events: readonly TraceEvent[]): MainThreadTask[] {
  const isMain = new Set(
    events.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(({ pid, tid }) => `${pid}/${tid}`),
  );
  return events
    .filter(({ name, ph, pid, tid }) => name === "ThreadControllerImpl::RunTask" && ph === "X" && isMain.has(`${pid}/${tid}`))
    .map(({ dur = 0, tdur = 0 }) => ({ wallMs: dur / 1000, cpuMs: tdur / 1000 }));
}
