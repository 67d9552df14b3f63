import { type ReportItem } from "../contracts/reports.ts";
import { type TaskRow } from "./store/tasks.ts";

/** What a task's output is made from. */
export type OutputTask = Pick<TaskRow, "taskId" | "path" | "state" | "work" | "errors" | "startedOn" | "endedOn">;

/** An item of one kind. */
export type ItemOf<K extends ReportItem["kind"]> = Extract<ReportItem, { kind: K }>;

export const ofKind = <K extends ReportItem["kind"]>(items: readonly ReportItem[], kind: K): ItemOf<K>[] =>
  items.filter((item): item is ItemOf<K> => item.kind === kind);
