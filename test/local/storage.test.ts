import { mkdtemp, rm, stat } from "node:fs/promises";
import { spawn } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { TableClient } from "@azure/data-tables";
import { afterEach, expect, test, vi } from "vitest";
import { startTableStorage, type TableStorage, type TableStorageOptions } from "../../local/storage.ts";

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function start(options?: TableStorageOptions): Promise<TableStorage> {
  const storage = await startTableStorage(options);
  cleanUps.push(() => storage.stop());
  return storage;
}

const tasksOf = ({ connectionString }: Pick<TableStorage, "connectionString">): TableClient =>
  TableClient.fromConnectionString(connectionString, "Tasks", { allowInsecureConnection: true, retryOptions: { maxRetries: 0 } });

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "pgdms-test-"));
  cleanUps.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test("a stale ETag gets 412, as in Azure", async () => {
  const tasks = tasksOf(await start());
  await tasks.createTable();
  const { etag } = await tasks.createEntity({ partitionKey: "p", rowKey: "r", state: "Queued" });
  await tasks.updateEntity({ partitionKey: "p", rowKey: "r", state: "Running" }, "Replace", { etag: etag ?? "" });
  await expect(
    tasks.updateEntity({ partitionKey: "p", rowKey: "r", state: "Failed" }, "Replace", { etag: etag ?? "" }),
  ).rejects.toMatchObject({
    statusCode: 412,
  });
});

test("a wrong account key is refused", async () => {
  const storage = await start();
  const forged = storage.connectionString.replace(/AccountKey=[^;]+/, `AccountKey=${Buffer.from("wrong").toString("base64")}`);
  await expect(tasksOf({ connectionString: forged }).createTable()).rejects.toMatchObject({ statusCode: 403 });
});

test("a row written just before stop() is there after a restart, under the same key", async () => {
  const dataDir = join(await temporaryFolder(), "tables");
  const first = await start({ dataDir });
  await tasksOf(first).createTable();
  await tasksOf(first).createEntity({ partitionKey: "p", rowKey: "r", state: "Queued" });
  await first.stop();
  await first.stop();
  expect((await stat(join(dataDir, "account-key"))).mode & 0o777).toBe(0o600);
  const second = await start({ dataDir, port: first.port });
  expect(second.connectionString).toBe(first.connectionString);
  expect((await tasksOf(second).getEntity("p", "r"))["state"]).toBe("Queued");
});

test("a taken port is named in the error", async () => {
  const { port } = await start();
  await expect(startTableStorage({ port })).rejects.toThrow(`port ${port} of 127.0.0.1 is taken`);
});

test("a row written just before the starting process is killed with SIGKILL is kept, and the service ends", async () => {
  const dataDir = join(await temporaryFolder(), "tables");
  const script = `
    const { startTableStorage } = await import(${JSON.stringify(new URL("../../local/storage.ts", import.meta.url).href)});
    const { connectionString } = await startTableStorage({ dataDir: ${JSON.stringify(dataDir)} });
    console.log(connectionString);
    setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const connectionString = await new Promise<string>((resolve) => createInterface(parent.stdout).once("line", resolve));
  await tasksOf({ connectionString }).createTable();
  await tasksOf({ connectionString }).createEntity({ partitionKey: "p", rowKey: "r", state: "Queued" });
  parent.kill("SIGKILL");
  await vi.waitFor(() => expect(tasksOf({ connectionString }).getEntity("p", "r")).rejects.toMatchObject({ code: "ECONNREFUSED" }), {
    timeout: 10_000,
    interval: 50,
  });
  const again = await start({ dataDir });
  expect((await tasksOf(again).getEntity("p", "r"))["state"]).toBe("Queued");
});
