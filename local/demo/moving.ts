import { readMigration, troubleOf, untilPhase, type MigrationView } from "../watch.ts";
import { MigrationScreen } from "../migration-screen.ts";
import { type Writer } from "../sample/writer.ts";
import { count, seconds } from "../terminal.ts";
import { PhaseLog, type PhaseRecord } from "./phases.ts";
import { DATABASE } from "./servers.ts";
import { connection, DemoFailed, type Stage } from "./stage.ts";

const TASK = "migrate-listdb";

const tutorialSteps = { queued: "15", checks: "15", preparation: "15", "full load": "16", "catching up": "16", sync: "16" };

/** Steps 13 to 16: start, and watch until everything is loaded; then some time of changes. */
export async function migrate(stage: Stage): Promise<{ phases: readonly PhaseRecord[]; lagSeconds: readonly number[] }> {
  const { client, source, target, writer, terminal, teardown, options } = stage;
  const { signal } = teardown;
  const log = new PhaseLog(
    () => performance.now(),
    () => writer.counts,
  );
  await client.putMigration(TASK, {
    sourceConnectionInfo: connection(source),
    targetConnectionInfo: connection(target),
    selectedDatabases: [{ name: DATABASE, targetDatabaseName: DATABASE, migrationSetting: { migrateSchema: "true" } }],
  });
  const screen = new MigrationScreen({ terminal, labels: tutorialSteps, below: () => [terminal.style("dim", writerLine(writer))] });
  const look = (view: MigrationView): void => {
    log.enter(view.phase);
    screen.show(view);
  };
  const read = (): Promise<MigrationView> => readMigration(client, TASK, DATABASE);
  requireAlive(await untilPhase(read, ({ phase }) => phase === "sync", look, signal), screen);
  const untilMs = performance.now() + options.syncMs;
  const lagSeconds: number[] = [];
  const watched = (view: MigrationView): void => {
    look(view);
    if (view.database) lagSeconds.push(view.database.latencySeconds);
  };
  requireAlive(await untilPhase(read, () => performance.now() > untilMs, watched, signal), screen);
  log.close();
  screen.done(`${count(writer.counts.transactions)} transactions of the writer followed`);
  if (writer.failure) throw new DemoFailed(`the writer failed: ${writer.failure.message}`);
  return { phases: log.records, lagSeconds };
}

function writerLine({ counts: { transactions, inserts, updates, deletes } }: Writer): string {
  return `writer: ${count(transactions)} transactions, ${count(inserts)} inserts, ${count(updates)} updates, ${count(deletes)} deletes`;
}

function requireAlive(view: MigrationView, screen: { fail(text: string): void }): void {
  if (view.phase !== "over") return;
  screen.fail(view.task.properties.state);
  throw new DemoFailed(troubleOf(view).join("\n"));
}

/** Step 17: the writer stops with changes still on their way, and at once the cutover is asked for. */
export async function cutOver({ terminal, client, writer, teardown }: Stage) {
  const step = terminal.step("17", "Cutover");
  step.show("the writer stops with one large transaction");
  await writer.stop();
  const { unreadBytes } = await writer.large();
  const stoppedMs = performance.now();
  await client.cutOver(TASK, DATABASE);
  const look = (view: MigrationView): void => step.show(view.database?.step ?? "finishing");
  const end = await untilPhase(
    () => readMigration(client, TASK, DATABASE),
    ({ task }) => task.properties.commands?.some(({ state }) => state === "Failed") ?? false,
    look,
    teardown.signal,
  );
  const cutoverWindowMs = performance.now() - stoppedMs;
  if (end.task.properties.state !== "Succeeded") {
    step.fail(end.task.properties.state);
    const refusals = (end.task.properties.commands ?? []).flatMap(({ errors = [] }) =>
      errors.map(({ code, message }) => `${code}: ${message}`),
    );
    throw new DemoFailed([...new Set([...refusals, ...troubleOf(end)])].join("\n"));
  }
  step.done(`${end.task.properties.state}: the application stood still for ${seconds(cutoverWindowMs)}`);
  return { cutoverWindowMs, pendingBytes: unreadBytes, end };
}
