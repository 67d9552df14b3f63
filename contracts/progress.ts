import { type ReportItem } from "./reports.ts";

/** Where a report stands among all reports of its task. */
export interface ReportStamp {
  readonly epoch: number;
  readonly sequence: number;
}

/** A row that remembers which report it came from. */
export interface StampedItem {
  readonly stamp: ReportStamp;
  readonly item: ReportItem;
}

/** Whether `a` was made after `b`: by a later worker, or later by the same one. */
export const isNewer = (a: ReportStamp, b: ReportStamp): boolean => a.epoch > b.epoch || (a.epoch === b.epoch && a.sequence > b.sequence);

/** Names may hold the separator. */
const part = (name: string): string => name.replaceAll("%", "%25").replaceAll("|", "%7C");

/** The key of what was reported of one database. */
export const databaseKey = (databaseName: string): string => `2database|${part(databaseName)}`;

/**
 * The identity of the thing that a report item is about: two items with the same key are about the same thing, and the
 * newer one holds. Keys sort a task's output as it is shown: migration, databases, tables, then the rest.
 */
export function itemKey(item: ReportItem): string {
  switch (item.kind) {
    case "task":
      return "0task";
    case "migration":
      return "1migration";
    case "database":
      return databaseKey(item.databaseName);
    case "table":
      return `3table|${part(item.databaseName)}|${part(item.schema)}|${part(item.name)}`;
    case "finding":
      return `4finding|${part(item.databaseName ?? "")}|${item.error.code}|${part(item.subject)}`;
    case "cutoverReport":
      return `5cutover|${part(item.databaseName)}`;
    case "command":
      return `6command|${item.commandId}`;
    case "connectOutput":
      return `7connect|${item.side}`;
    case "tablesOutput":
      return `8tables|${part(item.databaseName)}|${String(item.page).padStart(6, "0")}`;
  }
}

/**
 * Folds one item of a report into what is known of its thing.
 * @returns the row to store, or undefined when what is known is as new or newer.
 */
export function foldItem(known: StampedItem | undefined, item: ReportItem, stamp: ReportStamp): StampedItem | undefined {
  if (known && !isNewer(stamp, known.stamp)) return undefined;
  return { stamp, item };
}
