import { BACKEND } from "./message-types.ts";
import { notRun, parseServerError, type ServerError } from "./server-error.ts";

/** One row as the server wrote it: text, as bytes. */
export type RawRow = (Buffer | null)[];

/** What one statement answered. */
export interface RawResult {
  /** The command tag: "UPDATE 3". */
  readonly tag: string;
  /** The number at the end of the tag; 0 when there is none. */
  readonly rowCount: number;
  readonly rows: readonly RawRow[];
}

/** What one step of a pipeline answered; with an error, the rest is empty. */
export interface StepResult extends RawResult {
  readonly error?: ServerError;
}

const NOTHING: RawResult = { tag: "", rowCount: 0, rows: [] };

/** The messages that answer one request, up to its ReadyForQuery. */
export interface Exchange {
  /** @returns true at the end of the answer. */
  readonly onMessage: (type: number, body: Buffer) => boolean;
}

function readResult(body: Buffer, rows: readonly RawRow[]): RawResult {
  const tag = body.toString("utf8", 0, body.length - 1);
  return { tag, rowCount: Number(/(\d+)$/.exec(tag)?.[1] ?? 0), rows };
}

function readRow(body: Buffer): RawRow {
  const row: RawRow = [];
  let at = 2;
  for (let count = body.readUInt16BE(0); count > 0; count--) {
    const length = body.readInt32BE(at);
    at += 4;
    row.push(length < 0 ? null : Buffer.from(body.subarray(at, at + length)));
    at += Math.max(0, length);
  }
  return row;
}

/** The answer to a simple query: any number of statements, one of which may take COPY data that is already on its way. */
export class SimpleExchange implements Exchange {
  readonly results: RawResult[] = [];
  error: ServerError | undefined;
  private readonly sendsCopyData: boolean;
  private rows: RawRow[] = [];

  constructor(sendsCopyData: boolean) {
    this.sendsCopyData = sendsCopyData;
  }

  onMessage(type: number, body: Buffer): boolean {
    if (type === BACKEND.dataRow) this.rows.push(readRow(body));
    else if (type === BACKEND.commandComplete) this.complete(body);
    else if (type === BACKEND.errorResponse) this.error = parseServerError(body);
    else if (type === BACKEND.copyInResponse && !this.sendsCopyData) throw new Error("COPY FROM STDIN needs a step with copyData");
    else if (type === BACKEND.copyOutResponse) throw new Error("COPY TO STDOUT needs pipeCopy");
    return type === BACKEND.readyForQuery;
  }

  stepResults(): StepResult[] {
    return [this.error ? { ...NOTHING, error: this.error } : (this.results.at(-1) ?? NOTHING)];
  }

  private complete(body: Buffer): void {
    this.results.push(readResult(body, this.rows));
    this.rows = [];
  }
}

/** The answer to a run of prepared statements that ends with one Sync. */
export class PreparedExchange implements Exchange {
  private readonly results: StepResult[] = [];
  private readonly names: readonly string[];
  private readonly known: Set<string>;
  private rows: RawRow[] = [];

  /** @param known the statements that the server has; kept up to date by what it confirms. */
  constructor(names: readonly string[], known: Set<string>) {
    this.names = names;
    this.known = known;
  }

  onMessage(type: number, body: Buffer): boolean {
    if (type === BACKEND.dataRow) this.rows.push(readRow(body));
    else if (type === BACKEND.commandComplete) this.complete(readResult(body, this.rows));
    else if (type === BACKEND.emptyQueryResponse) this.complete(NOTHING);
    else if (type === BACKEND.errorResponse) this.complete({ ...NOTHING, error: parseServerError(body) });
    else if (type === BACKEND.parseComplete) this.known.add(this.names[this.results.length] ?? "");
    else if (type === BACKEND.closeComplete) this.known.delete(this.names[this.results.length] ?? "");
    return type === BACKEND.readyForQuery;
  }

  /** After an error the server passes over everything up to the Sync: those steps get 25P02. */
  stepResults(): StepResult[] {
    return this.names.map((_name, index) => this.results[index] ?? { ...NOTHING, error: notRun() });
  }

  private complete(result: StepResult): void {
    this.results.push(result);
    this.rows = [];
  }
}
