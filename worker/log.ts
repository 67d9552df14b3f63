import { pino, type Logger } from "pino";

export type { Logger } from "pino";

/**
 * One line of JSON an event, on standard output: a stable event name, fields with units, a short sentence. Names, counts
 * and positions may be logged; row values, passwords and connection strings never.
 */
export const createLogger = (level: string, workerId: string): Logger =>
  pino({ level, base: { workerId }, timestamp: pino.stdTimeFunctions.isoTime });
