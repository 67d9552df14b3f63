import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type JournalRecord, journalRecordSchema, toLine } from "./journal-records.ts";

const fileName = "broker-journal.jsonl";
/** Written over this size, the journal is replaced by a snapshot, so that a broker that runs for weeks does not fill the disk. */
const compactAtBytes = 64 * 1024 * 1024;

/** Where the broker writes what must outlive it. */
export interface Journal {
  /** What was written before, oldest first. */
  read(): JournalRecord[];
  /** Replaces everything by the records of `snapshot`, now and each time when the file has grown large. */
  compact(snapshot: () => JournalRecord[]): void;
  append(record: JournalRecord): void;
  /** Hands all appended records to the operating system: from then on they survive the end of this process. */
  flush(): void;
  close(): void;
}

/** A broker without a data folder forgets. */
export const noJournal: Journal = {
  read: () => [],
  compact: () => undefined,
  append: () => undefined,
  flush: () => undefined,
  close: () => undefined,
};

/**
 * An append-only file of JSON lines. Records are gathered and written once per turn of the event loop, and before anything
 * is sent to a client, so that what a client knows is always on file. It survives SIGKILL, not a power cut: no fsync per write.
 */
export class FileJournal implements Journal {
  readonly #path: string;
  #file: number | undefined;
  #pending: string[] = [];
  #turnEnd: NodeJS.Immediate | undefined;
  #writtenBytes = 0;
  #snapshot: () => JournalRecord[] = () => [];

  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true });
    this.#path = join(dataDir, fileName);
  }

  /** @throws Error with the line number when a line is damaged; only the last one may be (a write that was cut off). */
  read(): JournalRecord[] {
    if (!existsSync(this.#path)) return [];
    const lines = readFileSync(this.#path, "utf8").split("\n");
    lines.pop(); // empty, or a line that was cut off
    return lines.map((line, index) => this.#parse(line, index + 1));
  }

  #parse(line: string, lineNumber: number): JournalRecord {
    try {
      return journalRecordSchema.parse(JSON.parse(line));
    } catch (error) {
      const remedy = "Remove the file to start with empty queues.";
      throw new Error(`The broker's journal ${this.#path} is damaged in line ${lineNumber}. ${remedy}`, { cause: error });
    }
  }

  compact(snapshot: () => JournalRecord[]): void {
    this.#snapshot = snapshot;
    this.#pending = [];
    const nextPath = `${this.#path}.next`;
    const next = openSync(nextPath, "w", 0o600);
    const text = snapshot().map(toLine).join("");
    writeAll(next, text);
    fsyncSync(next);
    renameSync(nextPath, this.#path);
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = next;
    this.#writtenBytes = 0;
  }

  append(record: JournalRecord): void {
    this.#pending.push(toLine(record));
    this.#turnEnd ??= setImmediate(() => this.flush());
  }

  flush(): void {
    clearImmediate(this.#turnEnd);
    this.#turnEnd = undefined;
    if (this.#pending.length === 0 || this.#file === undefined) return;
    const text = this.#pending.join("");
    this.#pending = [];
    this.#writtenBytes += writeAll(this.#file, text);
    if (this.#writtenBytes > compactAtBytes) this.compact(this.#snapshot);
  }

  close(): void {
    this.flush();
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}

function writeAll(file: number, text: string): number {
  const bytes = Buffer.from(text);
  for (let offset = 0; offset < bytes.length;) offset += writeSync(file, bytes, offset);
  return bytes.length;
}
