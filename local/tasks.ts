import { setTimeout as sleep } from "node:timers/promises";
import { isTaskOver } from "../contracts/lifecycle.ts";
import { type Task } from "../contracts/wire.ts";
import { type Client } from "./client.ts";

const pollIntervalMs = 150;

/** Waits for the end of a task, whatever it is. */
export async function finishTask(client: Client, name: string, signal: AbortSignal): Promise<Task> {
  for (;;) {
    const task = await client.getTask(name);
    if (isTaskOver(task.properties.state)) return task;
    await sleep(pollIntervalMs, undefined, { signal });
  }
}
