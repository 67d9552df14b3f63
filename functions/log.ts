/** The lines that an operator reads; the Functions runtime files them under the invocation. Never bodies, never secrets. */
export interface Log {
  info(line: string): void;
  warn(line: string): void;
  error(line: string): void;
}
