import { Client } from "../client.ts";
import { DEFAULT_SERVICE, type Environment } from "../environment.ts";
import { type Teardown } from "../environment/teardown.ts";
import { Writer } from "../sample/writer.ts";
import { type Terminal } from "../terminal.ts";
import { type MigrationView } from "../watch.ts";
import { moveIn, prove } from "./arriving.ts";
import { checkAndSelect } from "./choosing.ts";
import { cutOver, migrate } from "./moving.ts";
import { type PhaseRecord } from "./phases.ts";
import { type Proof } from "./proof.ts";
import { DATABASE } from "./servers.ts";
import { setTheStage, type DemoOptions, type Stage } from "./stage.ts";

/** All that happened, for the summary. */
export interface Story {
  readonly environment: Environment;
  readonly sampleMs: number;
  readonly checksMs: number;
  readonly checksWriterRows: number;
  readonly phases: readonly PhaseRecord[];
  readonly lagSeconds: readonly number[];
  /** From the writer's last commit to the moment when the application may go on at the target. */
  readonly cutoverWindowMs: number;
  readonly pendingBytes: number;
  readonly end: MigrationView;
  readonly proof: Proof;
  readonly targetTransactions: number;
}

const SCOPE = { subscription: "demo", resourceGroup: "demo", service: DEFAULT_SERVICE, project: "listdb" };

/**
 * The tutorial from an application that runs on the old server to one that runs on the new one. Everything that is asked of
 * pgdms goes through its REST API.
 * @throws DemoFailed when anything is not as it must be
 */
export async function tellStory(terminal: Terminal, teardown: Teardown, options: DemoOptions): Promise<Story> {
  const { environment, source, target, sampleMs } = await setTheStage(terminal, teardown, options);
  const client = new Client(environment.url, SCOPE, teardown.signal);
  const writer = await teardown.start(
    () => Writer.start({ url: source.url(DATABASE) }),
    async (started) => void (await started.stop()),
  );
  terminal.print(
    `  From here on ${terminal.style("bold", "a writer keeps changing listdb")}: inserts, updates, deletes, swaps, moves between partitions.\n`,
  );
  const stage: Stage = { terminal, teardown, options, client, source, target, writer };
  const checks = await checkAndSelect(stage);
  const { phases, lagSeconds } = await migrate(stage);
  const { cutoverWindowMs, pendingBytes, end } = await cutOver(stage);
  const proof = await prove(stage);
  const targetTransactions = await moveIn(stage);
  return { environment, sampleMs, ...checks, phases, lagSeconds, cutoverWindowMs, pendingBytes, end, proof, targetTransactions };
}
