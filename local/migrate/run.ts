import { TASK_TYPES } from "../../contracts/commands.ts";
import { errors } from "../../contracts/errors.ts";
import { isTaskOver } from "../../contracts/lifecycle.ts";
import { readSetting, type Fence } from "../../contracts/settings.ts";
import { type Task } from "../../contracts/wire.ts";
import { connectOutput, type Client, type MigrationInput, type RequestRefused } from "../client.ts";
import { finishTask } from "../tasks.ts";
import { MigrationScreen } from "../migration-screen.ts";
import { seconds, type Terminal } from "../terminal.ts";
import { findingLines, readMigration, troubleOf, untilPhase, type MigrationView } from "../watch.ts";
import { waitForWord, type TypedWord } from "./typed-word.ts";

/** The migration did not come to its proof; each line says why. */
export class MigrationStopped extends Error {}

export interface Run {
  readonly client: Client;
  readonly terminal: Terminal;
  readonly signal: AbortSignal;
  readonly input: MigrationInput;
  readonly taskName: string;
  readonly databaseName: string;
  readonly cutover: "typed" | "when-ready";
  /** Left out: as the setting says. */
  readonly fence: Fence | undefined;
}

/** Migrates one database, from the checks to the proof. @throws MigrationStopped, or RequestRefused when the API refuses the input */
export async function runMigration(run: Run): Promise<void> {
  const { client, taskName, terminal } = run;
  await client.putService();
  await client.putProject();
  const known = await client.findTask(taskName);
  if (known && !isTaskOver(known.properties.state))
    terminal.print(`  A migration of ${run.databaseName} is under way (${known.properties.state}): going on with it.\n`);
  else {
    if (known) await client.deleteTask(taskName);
    await check(run);
  }
  await client.putMigration(taskName, run.input);
  await follow(run);
}

/** Cancels what an earlier run left, so that nothing stays on the source. */
export async function cancelMigration({ client, taskName, terminal, signal, databaseName }: Run): Promise<void> {
  const known = await client.findTask(taskName);
  if (!known || isTaskOver(known.properties.state))
    return terminal.print(`  No migration of ${databaseName} between these servers is under way.`);
  const step = terminal.step("", "Cancel");
  await client.cancel(taskName);
  const task = await finishTask(client, taskName, signal);
  step.done(`${task.properties.state}: slot and publication are removed from the source`);
}

/** Tries both connections before anything is made. */
async function check({ client, terminal, signal, input, taskName }: Run): Promise<void> {
  const { sourceConnectionInfo, targetConnectionInfo } = input;
  const tasks = [
    ["Source", TASK_TYPES.connectToSource, { sourceConnectionInfo }],
    ["Target", TASK_TYPES.connectToTarget, { sourceConnectionInfo, targetConnectionInfo }],
  ] as const;
  for (const [name, taskType, taskInput] of tasks) {
    const step = terminal.step("", name);
    const checkName = `${taskName}-${name.toLowerCase()}`;
    if (await client.findTask(checkName)) await client.deleteTask(checkName);
    await client.putTask(checkName, taskType, taskInput);
    const task = await finishTask(client, checkName, signal);
    const output = connectOutput(task);
    const trouble = findingLines(output?.findings ?? []);
    if (taskType === TASK_TYPES.connectToTarget && willBeMade(task, input)) {
      step.done("the database will be made"); // the migration's own checks look at the server
      continue;
    }
    if (task.properties.state !== "Succeeded") {
      step.fail("cannot be used");
      throw new MigrationStopped(
        (trouble.length > 0 ? trouble : task.properties.errors.map(({ code, message }) => `error ${code}: ${message}`)).join("\n"),
      );
    }
    const version = output && "sourceServerVersion" in output ? output.sourceServerVersion : (output?.targetServerVersion ?? "");
    step.done(`PostgreSQL ${version}`);
    for (const line of trouble) terminal.print(`        ${terminal.style("yellow", line)}`);
  }
}

/** Whether the target was reached and lacks the database only, which the migration makes. */
function willBeMade({ properties }: Task, { selectedDatabases }: MigrationInput): boolean {
  const isMissing = properties.errors.some(({ code }) => code === errors.TargetDatabaseMissing.code);
  return isMissing && selectedDatabases.every(({ migrationSetting }) => isGiven(migrationSetting?.["createDatabase"]));
}

function isGiven(text = "false"): boolean {
  const read = readSetting("createDatabase", text);
  return read.ok && read.value;
}

const always: TypedWord = { isGiven: () => true, typed: () => "", close: () => undefined };

/** Shows the migration until its end; asks for the cutover each time that it is possible and wanted. */
async function follow(run: Run): Promise<void> {
  const { client, terminal, taskName, databaseName, signal } = run;
  const wish = run.cutover === "typed" ? waitForWord("cutover", process.stdin) : always;
  const prompt = (): string => terminal.style("bold", `stop the writes to the source, then type "cutover" and Enter: ${wish.typed()}▏`);
  const screen = new MigrationScreen({
    terminal,
    below: ({ phase }) => (phase === "sync" && run.cutover === "typed" ? [prompt()] : []),
  });
  const watch = (isThere: (view: MigrationView) => boolean): Promise<MigrationView> =>
    untilPhase(
      () => readMigration(client, taskName, databaseName),
      isThere,
      (view) => screen.show(view),
      signal,
    );
  try {
    for (;;) {
      const view = await watch(({ phase }) => phase === "sync" && wish.isGiven());
      if (view.phase === "over") return report(run, view, screen);
      await client.cutOver(taskName, databaseName, run.fence);
      const answered = await watch((seen) => !hasOpenCommand(seen));
      const refusal = refusalOf(answered);
      if (answered.phase !== "over" && refusal !== "") {
        screen.fail("refused; the sync goes on");
        if (run.cutover === "when-ready") throw new MigrationStopped(refusal);
        terminal.print(`        ${terminal.style("yellow", refusal)}`);
      }
    }
  } finally {
    wish.close();
  }
}

const hasOpenCommand = ({ task }: MigrationView): boolean =>
  (task.properties.commands ?? []).some(({ state }) => state === "Accepted" || state === "Running");

/** Why the last cutover was refused; empty when it was not. */
const refusalOf = ({ task }: MigrationView): string =>
  (task.properties.commands?.at(-1)?.errors ?? []).map(({ code, message }) => `${code}: ${message}`).join("\n");

function report({ terminal, databaseName, input }: Run, view: MigrationView, screen: MigrationScreen): void {
  const { state } = view.task.properties;
  if (state === "Succeeded") screen.done("compared and complete");
  else screen.fail(state);
  if (state !== "Succeeded") throw new MigrationStopped([`The migration of ${databaseName} is ${state}.`, ...troubleOf(view)].join("\n"));
  const { cutover } = view.database ?? {};
  if (input.selectedDatabases.some(({ migrationSetting }) => migrationSetting?.["compareAtCutover"]?.toLowerCase() === "none"))
    throw new MigrationStopped(`${databaseName} has moved, but nothing was compared, as compareAtCutover=none asks: there is no proof.`);
  const durationMs = (cutover?.steps ?? []).reduce((sum, step) => sum + step.durationMs, 0);
  terminal.print(
    `\n  ${terminal.style(["bold", "green"], `${databaseName} has moved.`)} ${cutover?.tablesCompared ?? 0} tables compared, ${cutover?.tablesDifferent ?? 0} different; ` +
      `${cutover?.sequencesSet ?? 0} sequences set; the cutover took ${seconds(durationMs)}. Connect the applications to the target.`,
  );
}

/** Lines of a request that the API refused; its message has the first detail in it. */
export const refusalLines = ({ code, message, details }: RequestRefused): string =>
  [`error ${code}: ${message}`, ...details.map((detail) => detail.message).filter((text) => !message.includes(text))].join("\n  ");
