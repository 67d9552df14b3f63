import { z } from "zod";
import { PgdmsEvent } from "../events/event.ts";
import { encodeKey, encodeNames, type RowKey } from "./keys.ts";

/** An event that was decided and is not known to be published yet. */
export const OutboxRow = z.object({ event: PgdmsEvent });
export type OutboxRow = z.infer<typeof OutboxRow>;

/** @param owner what the event belongs to: events of one owner are written in one transaction */
export const outboxKey = (owner: string, event: PgdmsEvent): RowKey => ({
  partitionKey: encodeNames(owner),
  rowKey: encodeKey(event.id),
});
