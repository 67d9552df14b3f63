import { type CutoverReport, type DefinitionsReport } from "../../contracts/reports.ts";
import { type Migration } from "../migration.ts";
import { type CutoverOrder } from "../orders.ts";
import { inPhase } from "../phase.ts";

type Facts = Omit<CutoverReport, "kind" | "databaseName" | "commandId" | "askedOn" | "steps">;

/** Notes what a cutover does and how long it takes, on the board and for its report. */
export class CutoverLog {
  readonly #migration: Migration;
  readonly #order: CutoverOrder;
  readonly #steps: CutoverReport["steps"] = [];
  #facts: Facts = {
    drainedOn: null,
    endedOn: null,
    markerLsn: null,
    tablesCompared: 0,
    tablesDifferent: 0,
    sequencesSet: 0,
    definitionsRestored: 0,
  };

  constructor(migration: Migration, order: CutoverOrder) {
    this.#migration = migration;
    this.#order = order;
    this.#show();
  }

  /** Does one step and notes its time; the step's name is on the board meanwhile. */
  async step<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.#migration.board.change({ step: name });
    const startedMs = Date.now();
    try {
      return await inPhase(this.#migration, { name: `cutover: ${name}`, commandId: this.#order.commandId }, work);
    } finally {
      this.#steps.push({ name, durationMs: Date.now() - startedMs });
      this.#show();
    }
  }

  drained(markerLsn: string): void {
    this.#set({ drainedOn: new Date().toISOString(), markerLsn });
  }

  compared(tablesCompared: number, tablesDifferent: number): void {
    this.#set({ tablesCompared, tablesDifferent });
  }

  sequences(sequencesSet: number): void {
    this.#set({ sequencesSet });
  }

  restored(definitionsRestored: number): void {
    this.#set({ definitionsRestored });
  }

  definitions(definitions: DefinitionsReport | undefined): void {
    if (definitions) this.#set({ definitions });
  }

  finish(): void {
    this.#set({ endedOn: new Date().toISOString() });
  }

  #set(facts: Partial<Facts>): void {
    this.#facts = { ...this.#facts, ...facts };
    this.#show();
  }

  #show(): void {
    this.#migration.board.cutover({
      commandId: this.#order.commandId,
      askedOn: this.#order.askedOn,
      steps: [...this.#steps],
      ...this.#facts,
    });
  }
}
