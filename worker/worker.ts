import { createServer, type Server } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceBusSessionReceiver } from "@azure/service-bus";
import { SOFTWARE_VERSION } from "./version.ts";
import { type Config } from "./config.ts";
import { startHeartbeat } from "./heartbeat.ts";
import { acceptTasks } from "./inbox.ts";
import { Lease } from "./lease.ts";
import { type Logger } from "./log.ts";
import { databasesIn, memoryBytes, Room } from "./room.ts";
import { createServiceBusClient } from "./service-bus.ts";
import { TaskRun } from "./task-run.ts";

/** Operations of the client that waits for sessions end so soon: a stopping worker waits no longer than this. */
const ACCEPT_TIMEOUT_MS = 2_000;

/** A worker that runs tasks until it is stopped. */
export interface RunningWorker {
  /** Hands every task back at a boundary, then closes. Bounded by STOP_GRACE_SECONDS. */
  stop(): Promise<void>;
}

/** Starts to take tasks of the configured service. */
export function startWorker(config: Config, log: Logger): RunningWorker {
  const client = createServiceBusClient(config);
  const inboxClient = createServiceBusClient(config, { timeoutInMs: ACCEPT_TIMEOUT_MS, maxRetries: 0 });
  const sender = client.createSender(config.REPORTS_QUEUE);
  const stopping = new AbortController();
  /** By session: a task that was lost and taken again may still be ending in its old one. */
  const runs = new Map<ServiceBusSessionReceiver, TaskRun>();
  const startedOn = new Date().toISOString();
  const { WORKER_ID: workerId, PGDMS_SERVICE: serviceName, MAX_TASKS: maxTasks } = config;

  const maxDatabases = config.MAX_DATABASES ?? databasesIn(memoryBytes());
  const room = new Room({ tasksMax: maxTasks, databasesMax: maxDatabases });

  const runTask = async (receiver: ServiceBusSessionReceiver): Promise<void> => {
    const taskLog = log.child({ taskId: receiver.sessionId });
    room.enter(receiver, () => runs.get(receiver)?.databases ?? 0);
    try {
      const lease = await Lease.take(receiver, taskLog);
      const run = new TaskRun({
        receiver,
        lease,
        sender,
        workerId,
        logLevel: config.LOG_LEVEL,
        secrets: { keyVaultUri: config.KEY_VAULT_URI, secretsFileDir: config.SECRETS_FILE_DIR, identityClientId: config.AZURE_CLIENT_ID },
        pgDumpPath: config.PG_DUMP_PATH,
        onShare: (tasks) => room.keepTo(tasks),
        log: taskLog,
      });
      runs.set(receiver, run);
      void heartbeat.beat();
      await run.finished();
    } catch (thrown) {
      taskLog.error({ event: "task.take.failed", err: thrown }, "a task could not be taken; another worker will have it");
      await receiver.close().catch(() => undefined);
    } finally {
      runs.delete(receiver);
      room.leave(receiver);
      void heartbeat.beat();
    }
  };

  const heartbeat = startHeartbeat({
    sender,
    log,
    describe: () => ({
      workerId,
      serviceName,
      softwareVersion: SOFTWARE_VERSION,
      startedOn,
      stopping: stopping.signal.aborted,
      taskIds: taskIdsOf([...runs.keys()]),
      movableTaskIds: taskIdsOf([...runs].filter(([, run]) => run.canMove).map(([receiver]) => receiver)),
      maxTasks,
    }),
  });
  const health = config.HEALTH_PORT === undefined ? undefined : startHealth(config.HEALTH_PORT);
  const inbox = acceptTasks({
    client: inboxClient,
    serviceName,
    signal: stopping.signal,
    log,
    hasRoom: () => room.hasMore(),
    onSession: (receiver) => void runTask(receiver),
  });
  log.info({ event: "worker.started", serviceName, maxTasks, maxDatabases, version: SOFTWARE_VERSION }, "worker started");

  return {
    stop: async () => {
      stopping.abort(new Error("the worker stops"));
      heartbeat.stop();
      const handedBack = Promise.all([...runs.values()].map((run) => run.stop()));
      await Promise.race([handedBack, sleep(config.STOP_GRACE_SECONDS * 1000, undefined, { ref: false })]);
      await Promise.race([Promise.all([heartbeat.beat(), inbox]), sleep(ACCEPT_TIMEOUT_MS + 500, undefined, { ref: false })]);
      health?.close();
      await Promise.race([Promise.all([inboxClient.close(), client.close()]), sleep(1_000, undefined, { ref: false })]);
      log.info({ event: "worker.stopped" }, "worker stopped");
    },
  };
}

const taskIdsOf = (receivers: readonly ServiceBusSessionReceiver[]): string[] => [...new Set(receivers.map(({ sessionId }) => sessionId))];

/** Alive means that the event loop turns; a slow database is no reason to restart a worker. */
function startHealth(port: number): Server {
  const server = createServer((request, response) => {
    response.writeHead(request.url === "/healthz" ? 200 : 404, { "content-type": "application/json" });
    response.end(request.url === "/healthz" ? '{"status":"healthy"}' : "");
  });
  return server.listen(port);
}
