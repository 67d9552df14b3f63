import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Task } from "../../contracts/wire.ts";
import { startEnvironment, type Environment } from "../../local/environment.ts";
import { createHost, type FunctionsHost } from "../../local/functions-host/host.ts";
import { allRows } from "../scenarios/sdk/search.ts";
import { startAutomation } from "./fixtures/bus.ts";
import { connectBody, makeService, restOf, service, task, until } from "./fixtures/rest.ts";
import { startWorker } from "./fixtures/worker.ts";

/** The Functions process is killed, for real, after it wrote the row and before it could send. */

let environment: Environment;
let second: FunctionsHost | undefined;
beforeAll(async () => {
  environment = await startEnvironment({ port: 0, workers: 0, functionsSettings: { WATCHDOG_CRON: "0 0 0 1 1 *" } });
}, 150_000);
afterAll(async () => {
  await second?.stop();
  await environment?.stop();
}, 60_000);

test("what was written before it died is sent and told by the next one", async () => {
  const rest = restOf(environment.url);
  await makeService(rest, "dms-killed");
  const [brokerPid = 0, functionsPid = 0] = environment.pids;
  process.kill(brokerPid, "SIGSTOP");
  try {
    const put = rest.put(task("dms-killed", "mig"), connectBody()).then(
      () => "answered",
      () => "cut off",
    );
    const isWritten = async (): Promise<boolean> => (await allRows(environment.tablesConnection)).some((row) => row.startsWith("Tasks "));
    await until(isWritten, "the row");
    process.kill(functionsPid, "SIGKILL");
    expect(await put).toBe("cut off");
  } finally {
    process.kill(brokerPid, "SIGCONT");
  }
  const settings = JSON.parse(await readFile(join(environment.dataDir, "local.settings.json"), "utf8")) as {
    Values: Record<string, string>;
  };
  second = createHost({ root: process.cwd(), main: "dist/functions/index.cjs", settings: settings.Values, log: () => undefined });
  await second.start();
  await second.fireTimer("watchdog");
  const again = await restOf(second.url).put<Task>(task("dms-killed", "mig"), connectBody());
  expect(again.status).toBe(200);
  const { taskId } = again.body.properties;
  const worker = startWorker(environment.serviceBusConnection);
  const automation = startAutomation(environment.serviceBusConnection);
  try {
    expect((await worker.commands("dms-killed", taskId, 1)).map((command) => command.taskId)).toEqual([taskId]);
    await expect(worker.commands("dms-killed", taskId, 1)).rejects.toThrow(); // one, and no other
    const told = await automation.event("pgdms.task.stateChanged", ({ data }) => data.taskId === taskId);
    expect(told.data).toMatchObject({ state: "Queued", previousState: null });
    expect(automation.events.map(({ subject }) => subject)).toEqual([service("dms-killed"), task("dms-killed", "mig")]);
  } finally {
    await worker.close();
    await automation.close();
  }
}, 120_000);
