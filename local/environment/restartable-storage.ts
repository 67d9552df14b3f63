import { setTimeout as sleep } from "node:timers/promises";
import { startTableStorage, type TableStorage } from "../storage.ts";
import { type Restart } from "./restartable.ts";

/** Table storage that can be started again in its place. */
export class RestartableStorage {
  readonly #dataDir: string;
  readonly #signal: AbortSignal;
  #current: TableStorage;
  #restarting: Promise<void> | undefined;

  private constructor(current: TableStorage, dataDir: string, signal: AbortSignal) {
    this.#current = current;
    this.#dataDir = dataDir;
    this.#signal = signal;
  }

  static async start(dataDir: string, signal: AbortSignal): Promise<RestartableStorage> {
    return new RestartableStorage(await startTableStorage({ dataDir }), dataDir, signal);
  }

  get connectionString(): string {
    return this.#current.connectionString;
  }

  get pid(): number {
    return this.#current.pid;
  }

  /** Always in order: Azurite writes its tables down every few seconds only, and Azure's do not forget what they took in. */
  async restart({ downMs }: Pick<Restart, "downMs">): Promise<void> {
    this.#restarting ??= this.#restart(downMs).finally(() => (this.#restarting = undefined));
    await this.#restarting;
  }

  async stop(): Promise<void> {
    await this.#restarting?.catch(() => undefined);
    await this.#current.stop();
  }

  async #restart(downMs: number): Promise<void> {
    const { port } = this.#current;
    await this.#current.stop();
    await sleep(downMs, undefined, { signal: this.#signal });
    this.#current = await startTableStorage({ dataDir: this.#dataDir, port });
  }
}
