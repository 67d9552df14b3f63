import { writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { integerOf, readArguments, runCommand } from "../local/command-line.ts";
import { Teardown } from "../local/environment/teardown.ts";
import { benchCutover } from "./engine/cutover.ts";
import { chosenOf } from "./engine/choice.ts";
import { DRAINS } from "./engine/data.ts";
import { benchDrain } from "./engine/drain.ts";
import { benchFollow } from "./engine/follow.ts";
import { benchLatency } from "./engine/latency.ts";
import { benchLoad, type SuiteOptions } from "./engine/load.ts";
import { benchReading } from "./engine/reading.ts";
import { findTools, missingTools, stopPrograms, type Tools } from "./engine/peers.ts";
import { Pgdms } from "./engine/pgdms.ts";
import { recordOf, sayGates, tableOf } from "./engine/report.ts";
import { type Work } from "./engine/run.ts";
import { debianPrograms, EMBEDDED_MAJOR, type Programs, type ServerPair, startPair } from "./engine/servers.ts";
import { benchSmallTables } from "./engine/small-tables.ts";
import { benchStreamFormat } from "./engine/stream-format.ts";

// `npm run bench`: how fast the engine is, side by side with its peers, on servers of its own.

const suites = {
  load: benchLoad,
  drain: benchDrain,
  follow: benchFollow,
  cutover: benchCutover,
  latency: benchLatency,
  "small-tables": benchSmallTables,
  "stream-format": benchStreamFormat,
  reading: benchReading,
} satisfies Record<string, (options: SuiteOptions) => Promise<Work[]>>;
type Suite = keyof typeof suites;

const usage = `npm run bench [-- options]

  --quick            small data, one round: under five minutes
  --only A,B         of ${Object.keys(suites).join(", ")}; default: all
  --drains A,B       of tpcb, ins, upd, del, small; default: all
  --lanes N          sessions of the target that pgdms applies the backlogs in; default 1, as a migration has it
  --tls              the connections of the suite "reading" are encrypted
  --rounds N         how often each contestant runs; default 3, with --quick 1
  --postgres DIR     programs of the servers, such as /usr/lib/postgresql/15/bin; default: embedded ${EMBEDDED_MAJOR}, and for
                     the suites that need pg_dump the newest of Debian's servers that it can dump
  --json FILE        writes all figures

Peers are taken from PATH or from BENCH_PSQL, BENCH_PG_DUMP, BENCH_PG_RESTORE, BENCH_PGCOPYDB.`;

const options = {
  quick: { type: "boolean", default: false },
  only: { type: "string" },
  drains: { type: "string" },
  lanes: { type: "string", default: "1" },
  rounds: { type: "string" },
  tls: { type: "boolean", default: false },
  postgres: { type: "string" },
  json: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

async function bench(signal: AbortSignal): Promise<number> {
  const values = readArguments(options, usage);
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const chosen = chosenOf("--only", Object.keys(suites) as Suite[], values.only);
  const drains = chosenOf("--drains", DRAINS, values.drains);
  const lanes = integerOf("--lanes", values.lanes, 1, 16);
  const rounds = values.rounds === undefined ? (values.quick ? 1 : 3) : integerOf("--rounds", values.rounds, 1, 100);
  const startedMs = Date.now();
  const say = (line: string): void => console.log(`${((Date.now() - startedMs) / 1000).toFixed(0).padStart(5)} s  ${line}`);
  const tools = await findTools(process.env);
  for (const line of missingTools(tools)) say(line);
  const works: Work[] = [];
  const servers: Record<string, string> = {};
  try {
    for (const suite of chosen) {
      const programs = values.postgres === undefined ? programsFor(suite, tools) : { folder: values.postgres };
      await withServers({ programs, usesTls: values.tls && suite === "reading", signal }, async (pair, pgdms) => {
        servers[suite] = pair.target.version;
        say(`${suite}: PostgreSQL ${pair.target.version} on both ends`);
        const usable = usableTools(tools, pair.target.version, say);
        works.push(...(await suites[suite]({ pair, pgdms, tools: usable, rounds, isQuick: values.quick, drains, lanes, say })));
      });
    }
  } finally {
    // One that is stopped, or fails, has measured something all the same.
    if (works.length > 0) sayWorks(works);
  }
  if (values.json !== undefined) {
    const facts = { madeOn: new Date().toISOString(), quick: values.quick, rounds, servers, tools, load: loadavg() };
    await writeFile(values.json, JSON.stringify(recordOf(works, facts), undefined, 2));
  }
  return 0;
}

function sayWorks(works: readonly Work[]): void {
  const load = loadavg().map((each) => each.toFixed(1));
  console.log(`${tableOf(works)}\n\n${sayGates(works)} Load of the machine: ${load.join(" ")}.`);
}

interface Servers {
  readonly programs: Programs;
  readonly usesTls: boolean;
  readonly signal: AbortSignal;
}

/** Servers and a pgdms of its own for one suite. All of it is gone afterwards, and when the signal comes, with the peers that run. */
async function withServers(
  { programs, usesTls, signal }: Servers,
  suite: (pair: ServerPair, pgdms: Pgdms) => Promise<void>,
): Promise<void> {
  const teardown = new Teardown();
  const stop = (): void => {
    stopPrograms();
    teardown.stop().catch(() => undefined);
  };
  signal.addEventListener("abort", stop, { once: true });
  try {
    const pair = await teardown.start(
      () => startPair(programs, {}, usesTls),
      (started) => started.stop(),
    );
    const pgdms = await teardown.start(
      () => Pgdms.start(teardown.signal),
      (started) => started.stop(),
    );
    await suite(pair, pgdms);
  } finally {
    signal.removeEventListener("abort", stop);
    await teardown.stop();
  }
}

/** pg_dump refuses servers that are newer than itself, and without it two peers are missing where they count. */
function programsFor(suite: Suite, { pgDump }: Tools): Programs {
  const needsDump = suite === "load" || suite === "small-tables" || suite === "follow"; // pgcopydb comes with the same version
  if (!needsDump || !pgDump || pgDump.major >= EMBEDDED_MAJOR) return "embedded";
  return debianPrograms(pgDump.major) ?? "embedded";
}

function usableTools(tools: Tools, serverVersion: string, say: (line: string) => void): Tools {
  const server = Number.parseInt(serverVersion, 10);
  if (!tools.pgDump || tools.pgDump.major >= server) return tools;
  say(`pg_dump ${tools.pgDump.version} cannot dump a server ${serverVersion}: pg_dump, pg_restore and pgcopydb are missing here`);
  return { psql: tools.psql, pgDump: undefined, pgRestore: undefined, pgcopydb: undefined };
}

runCommand(bench);
