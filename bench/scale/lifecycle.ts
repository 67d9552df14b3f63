import { setTimeout as sleep } from "node:timers/promises";
import { type Stage } from "./stage.ts";
import { type Figures, whole, window } from "./window.ts";
import { makeDatabases, putTask, reportsArrive, stateOf } from "./small-databases.ts";

/** Reports that are on their way arrive, and what follows from them is done. */
const ARRIVE_MS = 3_000;

const DATABASE = "lifecycle";

/** One stretch of a small database's way. */
export interface Stretch {
  readonly title: string;
  readonly figures: Figures;
}

/** One small database, from the request to the end, and what goes on when there is nothing to do. */
export async function measureLifecycle(stage: Stage, { seconds }: { readonly seconds: number }): Promise<Stretch[]> {
  const { pgdms, signal } = stage;
  await makeDatabases(stage, ["warm_up", DATABASE]);
  await throughAll(stage, "warm_up"); // what is opened at its first use is open
  await sleep(ARRIVE_MS, undefined, { signal });
  const nothing = await window(stage, Math.max(seconds, 60)); // the watchdog looks once a minute
  const whole1 = await whole(stage, async () => {
    await throughAll(stage, DATABASE);
    await sleep(ARRIVE_MS, undefined, { signal });
  });
  return [
    { title: "one worker and no task", figures: { ...nothing, "worker's peak so far, MB": pgdms.peakMB() } },
    { title: `a small database, from the request to COMPLETE and ${ARRIVE_MS / 1000} s more`, figures: whole1 },
  ];
}

async function throughAll(stage: Stage, database: string): Promise<void> {
  const { client } = stage.pgdms;
  const taskId = await putTask(stage, client, [database]);
  await stateOf(stage, { taskId, database }, "READY_TO_COMPLETE");
  await reportsArrive(stage);
  await client.cutOver(database, database);
  await stage.pgdms.logged((each) => each.taskId === taskId && each.event === "task.ended");
}
