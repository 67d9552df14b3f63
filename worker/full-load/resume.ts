import { type Lsn } from "../../contracts/lsn.ts";
import { tableKey } from "../../contracts/tables.ts";
import { type Settings } from "../../contracts/settings.ts";
import { type LedgerPart } from "./ledger.ts";
import { type LoadPlan, type LoadTable, type PlannedPart, type TablePlan } from "./plan.ts";

/** One part that is to be loaded. */
export interface PartWork extends PlannedPart {
  readonly plan: TablePlan;
}

export interface LoadDecision {
  /** What is to be loaded, in order. */
  readonly left: readonly PartWork[];
  /** Tables whose parts must be entered into the ledger first, in place of what it has of them. */
  readonly enter: readonly TablePlan[];
  /** Tables whose targets must be emptied in the same transaction; one for each target. */
  readonly empty: readonly LoadTable[];
}

type TableStep = "fresh" | "goOn" | "again" | "done";

/**
 * Decides what of a plan is still to be done, by the ledger's word alone (never by looking at what the tables hold). Pure.
 *
 * A table that was loaded in part under another snapshot goes on where its parts may be of several (see findMixable), by the
 * parts that the ledger has. Any other is emptied and begun again: its rows would be of two moments, and the incremental sync
 * could not tell which. Where several tables go to one target, all of them begin again with it.
 */
export function decideLoad(
  plan: LoadPlan,
  ledger: readonly LedgerPart[],
  snapshotLsn: Lsn,
  onExistingRows: Settings["onExistingRows"],
  mixable: ReadonlySet<string> = new Set(),
): LoadDecision {
  const entries = new Map<string, LedgerPart[]>();
  for (const entry of ledger) entries.set(tableKey(entry), [...(entries.get(tableKey(entry)) ?? []), entry]);
  const entriesOf = ({ table }: TablePlan): readonly LedgerPart[] => entries.get(tableKey(table)) ?? [];
  const targetOf = ({ table }: TablePlan): string => tableKey(table.target);

  const steps = new Map(plan.map((table) => [table, stepOf(entriesOf(table), snapshotLsn, mixable.has(tableKey(table.table)))]));
  const emptied = new Set(plan.filter((table) => steps.get(table) === "again").map(targetOf));
  for (const table of plan) if (emptied.has(targetOf(table)) && steps.get(table) !== "fresh") steps.set(table, "again");

  if (onExistingRows === "truncate" || onExistingRows === "keepEqual") {
    const holdsLoadedRows = new Set(plan.filter((table) => entriesOf(table).some(({ isDone }) => isDone)).map(targetOf));
    for (const table of plan) if (entriesOf(table).length === 0 && !holdsLoadedRows.has(targetOf(table))) emptied.add(targetOf(table));
  }
  const enter = plan.filter((table) => ["fresh", "again"].includes(steps.get(table) ?? ""));
  const empty = new Map(plan.filter((table) => emptied.has(targetOf(table))).map((table) => [targetOf(table), table.table]));
  return { left: plan.flatMap((table) => partsLeft(table, steps.get(table), entriesOf(table))), enter, empty: [...empty.values()] };
}

function stepOf(entries: readonly LedgerPart[], snapshotLsn: Lsn, isMixable: boolean): TableStep {
  const done = entries.filter(({ isDone }) => isDone);
  if (done.length === 0) return "fresh";
  if (done.length === entries.length) return "done";
  return isMixable || done.every((entry) => entry.snapshotLsn === snapshotLsn) ? "goOn" : "again";
}

function partsLeft(plan: TablePlan, step: TableStep | undefined, entries: readonly LedgerPart[]): PartWork[] {
  if (step === "done") return [];
  const parts = step === "goOn" ? entries.filter(({ isDone }) => !isDone) : plan.parts;
  return parts.map(({ part, range }) => ({ plan, part, range }));
}
