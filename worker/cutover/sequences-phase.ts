import { MigrationError, reported } from "../../contracts/errors.ts";
import { type Migration } from "../migration.ts";
import { type Prepared } from "../target/prepare.ts";
import { sequenceTables, setSequences } from "./set-sequences.ts";

/**
 * Puts the target's sequences where the source's are.
 * @returns how many were set.
 * @throws MigrationError SequencesNotSet, with the statements; the cutover is then refused.
 */
export async function copySequences({ source, target, ownership, board, signal }: Migration, { tables }: Prepared): Promise<number> {
  const { set, failures } = await setSequences({ source, target, ownership, tables: sequenceTables(tables), signal });
  for (const { sequence, statement, reason } of failures)
    board.finding(reported("SequencesNotSet", { detail: `${sequence}: ${reason}.`, remedy: `On the target: ${statement};` }), sequence);
  if (failures.length === 0) return set;
  throw new MigrationError("SequencesNotSet", {
    detail: failures.map(({ sequence, reason }) => `${sequence}: ${reason}.`).join(" "),
    remedy: `On the target: ${failures.map(({ statement }) => statement).join("; ")}; then cut over again.`,
  });
}
