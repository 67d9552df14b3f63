import { type DatabaseLevelOutput } from "../contracts/wire.ts";
import { bytes, count, type Step, type Terminal } from "./terminal.ts";
import { describe, tableCount, type MigrationView, type Phase } from "./watch.ts";

/** What a phase is called on the screen. The others have no step of their own. */
const names: Readonly<Partial<Record<Phase, string>>> = {
  queued: "Start",
  checks: "Checks",
  preparation: "Schema and slot",
  "full load": "Full load",
  "catching up": "Catching up",
  sync: "Incremental sync",
  cutover: "Cutover",
};

export interface MigrationScreenOptions {
  readonly terminal: Terminal;
  /** Labels of the phases' steps; none without. */
  readonly labels?: Readonly<Partial<Record<Phase, string>>>;
  /** Further lines below the figures. */
  readonly below: (view: MigrationView) => readonly string[];
}

/** A migration on the terminal: one step for each phase. */
export class MigrationScreen {
  readonly #options: MigrationScreenOptions;
  #step: Step | undefined;
  #phase: Phase | undefined;

  constructor(options: MigrationScreenOptions) {
    this.#options = options;
  }

  show(view: MigrationView): void {
    const { terminal, labels = {}, below } = this.#options;
    const name = names[view.phase];
    if (name !== undefined && view.phase !== this.#phase) {
      this.#step?.done(summaryOf(this.#phase, view.database));
      this.#phase = view.phase;
      this.#step = terminal.step(labels[view.phase] ?? "", name);
    }
    const [figures = "", ...more] = describe(view);
    this.#step?.show(figures, ...more.filter((line) => line !== ""), ...below(view));
  }

  done(text: string): void {
    this.#step?.done(text);
    this.#step = this.#phase = undefined;
  }

  fail(text: string): void {
    this.#step?.fail(text);
    this.#step = this.#phase = undefined;
  }
}

/** What a phase that is over has brought. */
function summaryOf(phase: Phase | undefined, database: DatabaseLevelOutput | undefined): string {
  if (!database) return "";
  switch (phase) {
    case "queued":
      return "taken by a worker";
    case "checks":
      return `${count(database.findings.filter(({ severity }) => severity === "warning").length)} warnings`;
    case "preparation":
      return `${tableCount(database)} tables, about ${bytes(database.fullLoadTotalBytesEstimate)} to load`;
    case "full load":
      return `${count(database.fullLoadRows)} rows, ${bytes(database.fullLoadBytes)} in ${tableCount(database)} tables, with their indexes`;
    case "catching up":
    case "sync":
      return `${count(database.appliedChanges)} changes applied, ${count(database.incomingChanges)} pending`;
    default:
      return "";
  }
}
