import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { ServiceBusClient, type ServiceBusMessage } from "@azure/service-bus";
import { commandsQueue } from "../../contracts/commands.ts";
import { DEFAULT_SERVICE, type LocalEnvironment } from "../../local/environment.ts";
import { type PostgresServer } from "../../local/postgres.ts";
import { type NameService } from "../faults/name-service.ts";
import { type TcpProxy } from "../faults/tcp-proxy.ts";
import { type Random } from "./random.ts";
import { withClient } from "./workload.ts";

/** One end of the migration: its server, the database on it, and the line that the workers reach it by. */
export interface End {
  readonly server: PostgresServer;
  readonly database: string;
  readonly proxy: TcpProxy;
  /** What the workers know the proxy's address by. */
  readonly hostName: string;
}

/** What the faults are done to. */
export interface Stage {
  readonly environment: LocalEnvironment;
  readonly names: NameService;
  readonly source: End;
  readonly target: End;
  /** Tables that are there from the start to the end, on both sides. */
  readonly tables: readonly string[];
  readonly random: Random;
  /** No fault lasts longer than this. */
  readonly longestMs: number;
  /** Ends faults that last. */
  readonly signal: AbortSignal;
}

export interface Fault {
  readonly name: string;
  /** How often, beside the others. */
  readonly weight: number;
  /** Faults of one place do not overlap. */
  readonly place: string;
  /** Does it, and mends what does not mend itself. Resolves when that is done; rejects when there was nothing to do it to. */
  readonly strike: (stage: Stage) => Promise<void>;
}

/** Alters a table of the target, which a cutover would take for the user's own. */
const DISK = "target disk full";

/** A sequence comes back from a crash up to 32 draws ahead (sequence.c, SEQ_LOG_VALS): a cutover that has set it cannot know. */
const SOURCE_CRASH = "source crashed";

/** Faults that are over before the cutover. */
export const NOT_AT_CUTOVER = [DISK, SOURCE_CRASH];

/** Workers that live at once at most; those that are paused are among them. */
const WORKERS_MAX = 4;

/** Of one queue at once. */
const MESSAGES_DOUBLED_MAX = 20;

export const FAULTS: readonly Fault[] = [
  { name: "worker killed", weight: 5, place: "workers", strike: (stage) => endWorker(stage, "SIGKILL") },
  { name: "worker stopped in order", weight: 3, place: "workers", strike: (stage) => endWorker(stage, "SIGTERM") },
  { name: "worker paused", weight: 3, place: "pause", strike: pauseWorker },
  { name: "worker added", weight: 2, place: "workers", strike: addWorker },
  { name: "source restarted", weight: 2, place: "source", strike: ({ source }) => source.server.restart() },
  { name: SOURCE_CRASH, weight: 1, place: "source", strike: ({ source }) => crash(source) },
  { name: "target restarted", weight: 2, place: "target", strike: ({ target }) => target.server.restart() },
  { name: "target crashed", weight: 1, place: "target", strike: ({ target }) => crash(target) },
  { name: "walsender terminated", weight: 3, place: "source", strike: ({ source }) => terminate(source, "walsender") },
  { name: "source sessions terminated", weight: 2, place: "source", strike: ({ source }) => terminate(source, "client backend") },
  { name: "target sessions terminated", weight: 3, place: "target", strike: ({ target }) => terminate(target, "client backend") },
  { name: "target statements cancelled", weight: 2, place: "target", strike: ({ target }) => cancelStatements(target) },
  { name: "source statements cancelled", weight: 1, place: "source", strike: ({ source }) => cancelStatements(source) },
  { name: "source connections cut", weight: 2, place: "source line", strike: ({ source }) => cut(source) },
  { name: "target connections cut", weight: 2, place: "target line", strike: ({ target }) => cut(target) },
  { name: "source refuses connections", weight: 1, place: "source line", strike: (stage) => refuse(stage, stage.source) },
  { name: "target refuses connections", weight: 1, place: "target line", strike: (stage) => refuse(stage, stage.target) },
  { name: "source half-open", weight: 2, place: "source line", strike: (stage) => silence(stage, stage.source) },
  { name: "target half-open", weight: 2, place: "target line", strike: (stage) => silence(stage, stage.target) },
  { name: "source delayed", weight: 1, place: "source line", strike: (stage) => delay(stage, stage.source) },
  { name: "target delayed", weight: 1, place: "target line", strike: (stage) => delay(stage, stage.target) },
  { name: "source slow", weight: 1, place: "source line", strike: (stage) => slow(stage, stage.source) },
  { name: "target slow", weight: 1, place: "target line", strike: (stage) => slow(stage, stage.target) },
  { name: "source's name not resolved", weight: 1, place: "source line", strike: (stage) => forgetName(stage, stage.source) },
  { name: "target's name not resolved", weight: 1, place: "target line", strike: (stage) => forgetName(stage, stage.target) },
  {
    name: "target read-only",
    weight: 2,
    place: "target",
    strike: (stage) => setOnTarget(stage, "default_transaction_read_only", "on"),
  },
  { name: "target statement timeout", weight: 1, place: "target", strike: (stage) => setOnTarget(stage, "statement_timeout", "'20ms'") },
  { name: "target table locked", weight: 2, place: "target lock", strike: (stage) => lockTable(stage, stage.target) },
  { name: "source table locked", weight: 1, place: "source lock", strike: (stage) => lockTable(stage, stage.source) },
  { name: "transaction left open on the source", weight: 1, place: "source lock", strike: leaveOpen },
  { name: DISK, weight: 2, place: "target disk", strike: fillDisk },
  { name: "broker crashed", weight: 2, place: "broker", strike: (stage) => restartPart(stage, "broker", "SIGKILL") },
  { name: "broker restarted", weight: 1, place: "broker", strike: (stage) => restartPart(stage, "broker", "SIGTERM") },
  { name: "Functions host crashed", weight: 2, place: "functions", strike: (stage) => restartPart(stage, "functions", "SIGKILL") },
  { name: "Functions host restarted", weight: 1, place: "functions", strike: (stage) => restartPart(stage, "functions", "SIGTERM") },
  { name: "messages doubled", weight: 2, place: "messages", strike: doubleMessages },
  { name: "storage restarted", weight: 2, place: "storage", strike: (stage) => restartPart(stage, "storage", "SIGTERM") },
];

/** Past the proxy and past the workers. */
const asAdmin = <T>({ server, database }: End, work: Parameters<typeof withClient<T>>[1], otherDatabase = database): Promise<T> =>
  withClient(server.url(otherDatabase), work);

/** For a while: short more often than long. */
async function last({ random, longestMs, signal }: Stage): Promise<void> {
  const share = random.next();
  await sleep(500 + share ** 3 * (longestMs - 500), undefined, { signal }).catch(() => undefined);
}

/** For a session of ours, whatever the server is set to at the moment. */
const AS_EVER = "SET default_transaction_read_only = off; SET statement_timeout = 0";

async function endWorker({ environment, random }: Stage, signal: NodeJS.Signals): Promise<void> {
  const worker = random.one(environment.workers);
  await environment.killWorker(worker.workerId, signal);
  await worker.exited;
  if (environment.workers.length === 0 || random.next() < 0.8) await environment.startWorker();
}

async function addWorker({ environment, random }: Stage): Promise<void> {
  if (environment.workers.length < WORKERS_MAX) await environment.startWorker();
  else {
    const worker = random.one(environment.workers);
    await environment.killWorker(worker.workerId, "SIGTERM");
    await worker.exited;
  }
}

/** The lock of its tasks may end meanwhile, and another worker take them over: then it wakes up as a zombie. */
async function pauseWorker(stage: Stage): Promise<void> {
  const { environment, random } = stage;
  const worker = random.one(environment.workers);
  process.kill(worker.pid, "SIGSTOP");
  try {
    if (environment.workers.length < 2) await environment.startWorker();
    await last(stage);
  } finally {
    if (environment.workers.includes(worker)) process.kill(worker.pid, "SIGCONT");
  }
}

async function crash({ server }: End): Promise<void> {
  await server.kill();
  await server.restart();
}

async function terminate(end: End, backendType: "walsender" | "client backend"): Promise<void> {
  await asAdmin(end, (client) =>
    client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgdms:%' AND backend_type = $1", [
      backendType,
    ]),
  );
}

async function cancelStatements(end: End): Promise<void> {
  await asAdmin(end, (client) => client.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgdms:%'"));
}

function cut({ proxy }: End): Promise<void> {
  proxy.cut();
  return Promise.resolve();
}

async function refuse(stage: Stage, { proxy }: End): Promise<void> {
  proxy.cut();
  proxy.refuse();
  await last(stage);
  proxy.heal();
}

async function silence(stage: Stage, { proxy }: End): Promise<void> {
  proxy.silence();
  await last(stage);
  proxy.heal();
}

async function delay(stage: Stage, { proxy }: End): Promise<void> {
  proxy.delay(stage.random.between(20, 400));
  await last(stage);
  proxy.heal();
}

async function slow(stage: Stage, { proxy }: End): Promise<void> {
  proxy.limit(stage.random.between(50, 1_000) * 1024);
  await last(stage);
  proxy.heal();
}

/** New connections are needed and cannot be made. */
async function forgetName(stage: Stage, { proxy, hostName }: End): Promise<void> {
  stage.names.fail(hostName, stage.random.one(["ENOTFOUND", "EAI_AGAIN"]));
  proxy.cut();
  await last(stage);
  stage.names.resolve(hostName);
}

/** A setting of the whole server, for all sessions that do not say otherwise. */
async function setOnTarget(stage: Stage, name: string, value: string): Promise<void> {
  const alter = (what: string): Promise<unknown> =>
    asAdmin(stage.target, async (client) => {
      await client.query(AS_EVER);
      await client.query(`ALTER SYSTEM ${what}`);
      await client.query("SELECT pg_reload_conf()");
    });
  await alter(`SET ${name} = ${value}`);
  await last(stage);
  await untilDone(() => alter(`RESET ${name}`));
}

async function lockTable(stage: Stage, end: End): Promise<void> {
  const table = stage.random.one(stage.tables);
  await asAdmin(end, async (client) => {
    await client.query(`SET lock_timeout = '5s'; BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    await last(stage);
  });
}

async function leaveOpen(stage: Stage): Promise<void> {
  await asAdmin(stage.source, async (client) => {
    await client.query("BEGIN; SELECT txid_current()");
    await last(stage);
  });
}

/** Every write to a table of the target fails with disk_full, also under session_replication_role = replica. */
async function fillDisk(stage: Stage): Promise<void> {
  const table = stage.random.one(stage.tables);
  await asAdmin(stage.target, async (client) => {
    await client.query(AS_EVER);
    await client.query(`SET lock_timeout = '5s';
      CREATE OR REPLACE FUNCTION pg_temp_disk_full() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
      DROP TRIGGER IF EXISTS disk_full ON ${table};
      CREATE TRIGGER disk_full BEFORE INSERT OR UPDATE OR DELETE ON ${table} FOR EACH STATEMENT EXECUTE FUNCTION pg_temp_disk_full();
      ALTER TABLE ${table} ENABLE ALWAYS TRIGGER disk_full`);
  });
  await last(stage);
  await untilDone(() =>
    asAdmin(stage.target, async (client) => {
      await client.query(AS_EVER);
      await client.query("SET lock_timeout = '5s'; DROP FUNCTION pg_temp_disk_full() CASCADE");
    }),
  );
}

/**
 * What is on the queues comes once more, under ids of its own so that the broker lets it in: commands at once, reports when
 * later ones have arrived.
 */
async function doubleMessages(stage: Stage): Promise<void> {
  const client = new ServiceBusClient(stage.environment.serviceBusConnection);
  const send = async (queue: string, messages: readonly ServiceBusMessage[]): Promise<void> => {
    for (const message of messages) await client.createSender(queue).sendMessages(message);
  };
  try {
    const commands = commandsQueue(DEFAULT_SERVICE);
    await send(commands, await copyMessages(client, commands));
    const reports = await copyMessages(client, "reports");
    await last(stage);
    await send("reports", reports);
  } finally {
    await client.close();
  }
}

async function copyMessages(client: ServiceBusClient, queue: string): Promise<ServiceBusMessage[]> {
  const found = await client.createReceiver(queue).peekMessages(MESSAGES_DOUBLED_MAX);
  return found.map(({ body, contentType, subject, sessionId }) => ({
    body: body as unknown,
    messageId: randomUUID(),
    ...(contentType === undefined ? {} : { contentType }),
    ...(subject === undefined ? {} : { subject }),
    ...(sessionId === undefined ? {} : { sessionId }),
  }));
}

async function restartPart(stage: Stage, part: "broker" | "functions" | "storage", signal: NodeJS.Signals): Promise<void> {
  const { environment, random, longestMs } = stage;
  const share = random.next();
  await environment.restart(part, { signal, downMs: share * share * Math.min(20_000, longestMs) });
}

/** What mends a fault must get through, although the server is down for another one. */
async function untilDone(work: () => Promise<unknown>): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    try {
      await work();
      return;
    } catch (thrown) {
      if (attempt === 100) throw thrown;
      await sleep(500);
    }
  }
}
