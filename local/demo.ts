import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DEFAULT_PORT, integerOf, messageOf, portForPeople, readArguments, runCommand } from "./command-line.ts";
import { printSummary } from "./demo/summary.ts";
import { DemoFailed } from "./demo/stage.ts";
import { tellStory } from "./demo/story.ts";
import { Teardown } from "./environment/teardown.ts";
import { LISTDB_ROWS } from "./sample/listdb.ts";
import { Terminal } from "./terminal.ts";

// `npm run demo`: a live database moves from PostgreSQL 13 to 17 on this machine, by the REST API.

const usage = `npm run demo -- [--keep] [--rows N] [--sync SECONDS] [--port N] [--data DIR]

  --keep          leave servers and pgdms up at the end, until Ctrl-C
  --rows N        rows of the sample database (default ${LISTDB_ROWS})
  --sync SECONDS  how long changes are followed before the cutover (default 8)
  --port N        of the REST API (default ${DEFAULT_PORT} if it is free, else any free one)
  --data DIR      where pgdms keeps its data and logs (default: a temporary folder)`;

const options = {
  keep: { type: "boolean", default: false },
  rows: { type: "string", default: String(LISTDB_ROWS) },
  sync: { type: "string", default: "8" },
  port: { type: "string" },
  data: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

async function demo(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const rows = integerOf("--rows", values.rows, 1000, 100_000_000);
  const syncMs = 1000 * integerOf("--sync", values.sync, 0, 86_400);
  const port = values.port === undefined ? await portForPeople() : integerOf("--port", values.port, 0, 65_535);
  const dataDir = values.data === undefined ? await mkdtemp(join(tmpdir(), "pgdms-demo-")) : resolve(values.data);
  await mkdir(dataDir, { recursive: true });
  const isTemporary = values.data === undefined;
  const terminal = new Terminal(process.stdout, process.env);
  const teardown = new Teardown();
  const stop = (): void => void teardown.stop().catch(() => undefined);
  signal.addEventListener("abort", stop, { once: true });
  let keepLogs = false;
  try {
    const beganMs = performance.now();
    terminal.print(`\n  ${terminal.style("bold", "pgdms")} moves listdb from PostgreSQL 13 to 17 while it is being written to\n`);
    const story = await tellStory(terminal, teardown, { port, dataDir, rows, syncMs });
    printSummary(terminal, story, performance.now() - beganMs);
    requireWriterInEveryPhase(story);
    if (values.keep) await keep(terminal, story.environment, signal);
    return 0;
  } catch (error) {
    if (signal.aborted) {
      terminal.close();
      terminal.print("  stopping");
      throw error;
    }
    keepLogs = true;
    terminal.close();
    terminal.print(`\n${terminal.style("red", messageOf(error))}\n\nLogs: ${join(dataDir, "logs")}`);
    return 1;
  } finally {
    await teardown.stop().catch((error: unknown) => terminal.print(`  ${messageOf(error)}`));
    if (isTemporary && !keepLogs) await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
  }
}

function requireWriterInEveryPhase({ phases, checksWriterRows }: Awaited<ReturnType<typeof tellStory>>): void {
  const quiet = phases.filter(({ writerRows }) => writerRows === 0).map(({ name }) => name);
  if (checksWriterRows === 0) quiet.unshift("queued");
  if (quiet.length > 0) throw new DemoFailed(`the writer changed nothing in: ${quiet.join(", ")}`);
}

async function keep(terminal: Terminal, { url, failed }: { url: string; failed: Promise<Error> }, signal: AbortSignal): Promise<void> {
  terminal.print(`\n  Left up, as asked: ${url}/portal/   Ctrl-C ends it.`);
  if (signal.aborted) return;
  const stopped = new Promise<undefined>((done) => signal.addEventListener("abort", () => done(undefined), { once: true }));
  const failure = await Promise.race([failed, stopped]);
  if (failure) throw failure;
}

runCommand(demo);
