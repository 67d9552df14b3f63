import { z } from "zod";
import { databaseKey, itemKey } from "../../contracts/progress.ts";
import { ReportItem } from "../../contracts/reports.ts";
import { encodeKey, encodeNames, type RowKey } from "./keys.ts";

/** Figures of a database that are worth a warning when they pass a level. */
const Watched = z.enum(["lag", "walHeld"]);
export type Watched = z.infer<typeof Watched>;

/** What a worker reported last of one thing: the migration, a database, a table, a finding. */
export const OutputRow = z.object({
  stamp: z.object({ epoch: z.number(), sequence: z.number() }),
  item: ReportItem,
  /** Of a database: the figures whose warning was raised and is not over. */
  above: z.array(Watched).optional(),
});
export type OutputRow = z.infer<typeof OutputRow>;

/** All outputs of a task are one partition, in the order in which they are shown. */
export const outputsPartition = (taskId: string): string => encodeNames(taskId);

export const outputKey = (taskId: string, item: ReportItem): RowKey => ({
  partitionKey: outputsPartition(taskId),
  rowKey: encodeKey(itemKey(item)),
});

export const outputsOfTask = (taskId: string): string => `PartitionKey eq '${outputsPartition(taskId)}'`;

export const databaseOutputKey = (taskId: string, databaseName: string): RowKey => ({
  partitionKey: outputsPartition(taskId),
  rowKey: encodeKey(databaseKey(databaseName)),
});
