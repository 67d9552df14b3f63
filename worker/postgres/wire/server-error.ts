/** What the server says of an error (manual, 54.8 "Error and Notice Message Fields"); the same names as `pg`'s DatabaseError. */
interface ErrorFields {
  readonly code: string;
  readonly severity: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly where?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly constraint?: string;
}

/** An error that the server answered with. `code` is the SQLSTATE. `detail` and `where` may hold row values: not for logs. */
export class ServerError extends Error implements ErrorFields {
  readonly code: string;
  readonly severity: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly where?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly constraint?: string;

  constructor(message: string, fields: ErrorFields) {
    super(message);
    this.name = "ServerError";
    this.code = fields.code;
    this.severity = fields.severity;
    if (fields.detail !== undefined) this.detail = fields.detail;
    if (fields.hint !== undefined) this.hint = fields.hint;
    if (fields.where !== undefined) this.where = fields.where;
    if (fields.schema !== undefined) this.schema = fields.schema;
    if (fields.table !== undefined) this.table = fields.table;
    if (fields.column !== undefined) this.column = fields.column;
    if (fields.constraint !== undefined) this.constraint = fields.constraint;
  }

  /** The server closes the session after this error. */
  get isFatal(): boolean {
    return this.severity === "FATAL" || this.severity === "PANIC";
  }
}

/** in_failed_sql_transaction: said of statements that were not run because an earlier one had failed. */
export const notRun = (): ServerError =>
  new ServerError("the statement was not run, because an earlier one of the same pipeline failed", { code: "25P02", severity: "ERROR" });

const FIELD_NAMES: Readonly<Record<string, keyof ErrorFields>> = {
  C: "code",
  D: "detail",
  H: "hint",
  W: "where",
  s: "schema",
  t: "table",
  c: "column",
  n: "constraint",
};

/** Reads the body of an ErrorResponse. Severity is taken untranslated (field V) where the server sends it (9.6 and later). */
export function parseServerError(body: Buffer): ServerError {
  const fields: Record<string, string> = {};
  for (let at = 0; at < body.length && body[at] !== 0;) {
    const end = body.indexOf(0, at + 1);
    if (end < 0) break;
    fields[String.fromCharCode(body[at] ?? 0)] = body.toString("utf8", at + 1, end);
    at = end + 1;
  }
  const named: Partial<Record<keyof ErrorFields, string>> = {};
  for (const [letter, name] of Object.entries(FIELD_NAMES)) if (fields[letter] !== undefined) named[name] = fields[letter];
  return new ServerError(fields["M"] ?? "the server gave no message", {
    ...named,
    code: fields["C"] ?? "XX000",
    severity: fields["V"] ?? fields["S"] ?? "ERROR",
  });
}
