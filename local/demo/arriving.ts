import { setTimeout as sleep } from "node:timers/promises";
import { Writer } from "../sample/writer.ts";
import { count } from "../terminal.ts";
import { compareSides, type Proof } from "./proof.ts";
import { DATABASE } from "./servers.ts";
import { DemoFailed, type Stage } from "./stage.ts";

/** Step 18, beside pgdms's own report: the same questions to both servers. */
export async function prove({ terminal, source, target }: Stage): Promise<Proof> {
  const step = terminal.step("18", "Proof");
  step.show("asking both servers for every table's rows, sequences, keys, indexes and triggers");
  const proof = await compareSides(source.url(DATABASE), target.url(DATABASE));
  if (proof.differences.length > 0) {
    step.fail(`${proof.differences.length} differences`);
    throw new DemoFailed(proof.differences.join("\n"));
  }
  step.done(`both sides are equal: ${proof.tables} tables, ${count(proof.rows)} rows`);
  return proof;
}

const moveInMs = 1_500;

/** The application goes on at the target: sequences, keys and triggers work there. */
export async function moveIn({ terminal, target, teardown }: Stage): Promise<number> {
  const step = terminal.step("18", "Application");
  step.show("the writer goes on at the target");
  const writer = await teardown.start(
    () => Writer.start({ url: target.url(DATABASE), seed: 2 }),
    async (started) => void (await started.stop()),
  );
  await sleep(moveInMs, undefined, { signal: teardown.signal });
  const { transactions, retried } = await writer.stop();
  if (writer.failure || transactions === 0 || retried > transactions / 10) {
    step.fail("cannot go on at the target");
    throw new DemoFailed(writer.failure?.message ?? `${transactions} transactions committed, ${retried} refused`);
  }
  step.done(`goes on at the target: ${count(transactions)} transactions`);
  return transactions;
}
