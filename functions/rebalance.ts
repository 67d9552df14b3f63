import { type HandOnCommand } from "../contracts/commands.ts";
import { type ControlPlane } from "./control-plane.ts";
import { sent } from "./dispatch.ts";
import { type Log } from "./log.ts";
import { isAlive, type WorkerRow, workersSince } from "./store/workers.ts";

/** Spreads the tasks of each service over its workers: one that joined gets its share of what the others have. */
export async function rebalance(plane: ControlPlane, log: Log): Promise<void> {
  const now = plane.now();
  const rows = (await plane.store.workers.list(workersSince(now))).map(({ value }) => value);
  const working = rows.filter((worker) => isAlive(worker, now) && !worker.stopping);
  for (const service of new Set(working.map(({ serviceName }) => serviceName)))
    for (const command of tasksToHandOn(working.filter(({ serviceName }) => serviceName === service))) {
      const send = (): Promise<void> => plane.bus.sendCommand(service, command);
      await sent(send, { what: command.type, taskId: command.taskId, service }, log);
    }
}

/** What a worker has, while it is considered what it should have. */
interface Load {
  readonly worker: WorkerRow;
  tasks: number;
  readonly movable: string[];
  readonly handedOn: string[];
}

/**
 * Which tasks the workers of one service are asked to hand on. A task moves only when its worker has at least two more than
 * the one with the fewest, so that it is not moved back; who takes it is the queue's business.
 */
export function tasksToHandOn(workers: readonly WorkerRow[]): HandOnCommand[] {
  const loads: Load[] = workers.map((worker) => ({
    worker,
    tasks: worker.taskIds.length,
    movable: worker.movableTaskIds.toSorted(),
    handedOn: [],
  }));
  for (;;) {
    const from = mostLoaded(loads.filter(({ movable }) => movable.length > 0));
    const to = leastLoaded(loads.filter(({ worker, tasks }) => tasks < worker.maxTasks));
    if (!from || !to || from.tasks - to.tasks < 2) break;
    from.handedOn.push(from.movable.shift() as string);
    from.tasks--;
    to.tasks++;
  }
  return loads.flatMap(({ worker, tasks, handedOn }) =>
    handedOn.map((taskId) => ({
      version: 1 as const,
      type: "handOn" as const,
      taskId,
      workerId: worker.workerId,
      share: tasks,
      seenOn: worker.sentAt,
    })),
  );
}

const mostLoaded = (loads: readonly Load[]): Load | undefined => loads.toSorted((a, b) => b.tasks - a.tasks)[0];
const leastLoaded = (loads: readonly Load[]): Load | undefined => loads.toSorted((a, b) => a.tasks - b.tasks)[0];
