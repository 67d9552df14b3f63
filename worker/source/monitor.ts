import type pg from "pg";
import { bytesBetween, parseLsn, type Lsn } from "../../contracts/lsn.ts";
import { connect, versionNum } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { readSlot } from "./slot.ts";

/** How the source stands at one moment. */
export interface SourceSample {
  /** Where the source writes its WAL now. */
  readonly currentLsn: Lsn;
  /** WAL that the slot keeps from being recycled. */
  readonly walHeldBytes: number;
}

/** The source's current position, by the function's name of its version (renamed in 10). */
export async function readCurrentLsn(client: pg.ClientBase, version: number): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>(
    `SELECT ${version >= 100_000 ? "pg_current_wal_lsn()" : "pg_current_xlog_location()"}::text AS lsn`,
  );
  return parseLsn(rows[0]?.lsn ?? "");
}

/** Looks at the source now and then, on one session that is opened again when it breaks. Never fails: no answer is no sample. */
export class SourceMonitor {
  readonly #source: Server;
  readonly #slot: string;
  #session: { readonly client: pg.Client; readonly version: number } | undefined;
  #isReading = false;

  constructor(source: Server, slot: string) {
    this.#source = source;
    this.#slot = slot;
  }

  async read(): Promise<SourceSample | undefined> {
    if (this.#isReading) return undefined;
    this.#isReading = true;
    try {
      const { client, version } = (this.#session ??= await this.#open());
      const currentLsn = await readCurrentLsn(client, version);
      const slot = await readSlot(client, version, this.#slot);
      return { currentLsn, walHeldBytes: slot?.restartLsn ? bytesBetween(slot.restartLsn, currentLsn) : 0 };
    } catch {
      await this.close();
      return undefined;
    } finally {
      this.#isReading = false;
    }
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.client.end().catch(() => undefined);
  }

  async #open(): Promise<{ client: pg.Client; version: number }> {
    const client = await connect(this.#source, { purpose: "monitor" });
    return { client, version: await versionNum(client) };
  }
}
