import { bytes, count, seconds, type Terminal } from "../terminal.ts";
import { type Story } from "./story.ts";

const nameWidth = 38;

/** The demo in figures. All of them were measured in this run. */
export function printSummary(terminal: Terminal, story: Story, totalMs: number): void {
  const { database } = story.end;
  const row = (name: string, durationMs: number | undefined, text: string): void =>
    terminal.print(`  ${name.padEnd(nameWidth)}${(durationMs === undefined ? "" : seconds(durationMs)).padStart(12)}   ${text}`);
  const wrote = (rows: number): string => `the writer changed ${count(rows)} rows meanwhile`;
  terminal.print(`\n  ${terminal.style("bold", "Summary")}`);
  row("listdb made", story.sampleMs, "");
  row("connections checked", story.checksMs, wrote(story.checksWriterRows));
  for (const { name, durationMs, writerRows } of story.phases) row(name, durationMs, wrote(writerRows));
  row("cutover window", story.cutoverWindowMs, `${bytes(story.pendingBytes)} of changes were on their way when it began`);
  for (const { name, durationMs } of database?.cutover?.steps ?? []) row(`  ${name}`, durationMs, "");
  terminal.print();
  if (database) {
    row("full load", undefined, `${count(database.fullLoadRows)} rows, ${bytes(database.fullLoadBytes)}`);
    row("changes applied", undefined, changes(database));
  }
  row(
    "lag under load",
    undefined,
    `${median(story.lagSeconds).toFixed(2)} s median, ${Math.max(0, ...story.lagSeconds).toFixed(2)} s at most`,
  );
  const { proof } = story;
  row("equal on both sides", undefined, `${proof.tables} tables, ${count(proof.rows)} rows by count and md5, ${proof.sequences} sequences`);
  row("", undefined, `${proof.constraints} constraints, ${proof.indexes} indexes, ${proof.triggers} triggers; nothing is left behind`);
  terminal.print(`\n  ${terminal.style(["bold", "green"], "listdb has moved.")} Everything together took ${seconds(totalMs)}.`);
}

const changes = (of: { cdcInsertCounter: number; cdcUpdateCounter: number; cdcDeleteCounter: number }): string =>
  `${count(of.cdcInsertCounter)} inserts, ${count(of.cdcUpdateCounter)} updates, ${count(of.cdcDeleteCounter)} deletes`;

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
