import { randomBytes } from "node:crypto";
import type pg from "pg";
import { withConnection } from "../postgres/connect.ts";
import { failureCode } from "../postgres/failures.ts";
import { quoteLiteral } from "../postgres/quote.ts";
import { listed, type FindingDraft, type SourceCheck, type SourceContext } from "./check.ts";
import { readOpenTransactions, sayTransaction } from "./open-transactions.ts";

/** The check does not wait longer than this, however long the real slot may. */
const PROBE_SECONDS_MAX = 20;

const QUERY_CANCELED = "57014";

/**
 * A slot that ends with its session, to see that the plugin loads and that no transaction holds slots up. Before
 * PostgreSQL 10 there are no temporary slots: the probe is dropped by name then, and the server drops it by itself when
 * its creation is cancelled.
 */
export const slotProbe: SourceCheck = {
  kind: "SlotProbeFailed",
  scope: "source",
  async run(context) {
    const seconds = Math.min(context.slotTimeoutSeconds, PROBE_SECONDS_MAX);
    try {
      await probe(context, seconds);
      return [];
    } catch (thrown) {
      const sqlState = failureCode(thrown);
      if (sqlState === undefined || !/^[0-9A-Z]{5}$/.test(sqlState)) throw thrown;
      if (sqlState !== QUERY_CANCELED) return [{ detail: `${thrown instanceof Error ? thrown.message : ""} (${sqlState}).` }];
      const open = (await readOpenTransactions(context.source.client)).map(sayTransaction);
      return [{ detail: `Within ${seconds} s these transactions did not end: ${listed(open) || "none is open any more"}.` }];
    }
  },
};

async function probe({ source: { server, versionNum }, plugin, signal }: SourceContext, seconds: number): Promise<void> {
  const name = `pgdms_probe_${randomBytes(6).toString("hex")}`;
  await withConnection(server, { purpose: "slot probe" }, async (client) => {
    signal.throwIfAborted();
    await client.query(`SET statement_timeout = ${seconds * 1000}`);
    if (versionNum >= 100_000) {
      await client.query("SELECT pg_create_logical_replication_slot($1, $2, true)", [name, plugin]);
      return;
    }
    await client.query("SELECT pg_create_logical_replication_slot($1, $2)", [name, plugin]);
    await client.query("SELECT pg_drop_replication_slot($1)", [name]);
  });
}

/** Two connections must see one server and one snapshot, as the full load will need it. */
export const oneServer: SourceCheck = {
  kind: "SourceNotOneServer",
  scope: "source",
  run: ({ source: { server } }) =>
    withConnection(server, { purpose: "snapshot probe" }, (first) =>
      withConnection(server, { purpose: "snapshot probe" }, (second) => passSnapshot(first, second)),
    ),
};

/** There is no such snapshot over there: undefined_object, invalid_parameter_value, object_not_in_prerequisite_state. */
const UNKNOWN_SNAPSHOT = new Set(["42704", "22023", "55000"]);

/** Exported on one connection, imported on the other. */
export async function passSnapshot(first: pg.ClientBase, second: pg.ClientBase): Promise<FindingDraft[]> {
  await first.query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  const { rows } = await first.query<{ id: string }>("SELECT pg_export_snapshot() AS id");
  await second.query("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ");
  try {
    await second.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(rows[0]?.id ?? "")}`);
    return [];
  } catch (thrown) {
    if (!UNKNOWN_SNAPSHOT.has(failureCode(thrown) ?? "")) throw thrown;
    return [{ detail: `A snapshot of the first connection is unknown to the second: ${thrown instanceof Error ? thrown.message : ""}.` }];
  }
}
