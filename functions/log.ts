/** What a line is about: a name that stays, and the names of things. Never bodies, never secrets. */
export interface LogFields {
  readonly event: string;
  readonly service?: string;
  readonly taskId?: string;
  readonly databaseName?: string;
  /** Of the request that is being answered. */
  readonly requestId?: string;
  readonly state?: string;
  readonly error?: string;
}

/** The lines that an operator reads, one JSON object each, as a worker writes them. */
export interface Log {
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

/** Of a failure that nobody expected: where it came from, too. */
export const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
