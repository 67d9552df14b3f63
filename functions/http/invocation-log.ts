import { type InvocationContext } from "@azure/functions";
import { type Log, type LogFields } from "../log.ts";

const line = ({ event, ...fields }: LogFields, msg: string): string => JSON.stringify({ event, msg, ...fields });

/** The runtime's own log of one invocation, which files each line under it. */
export const invocationLog = (context: Pick<InvocationContext, "info" | "warn" | "error">): Log => ({
  info: (fields, message) => context.info(line(fields, message)),
  warn: (fields, message) => context.warn(line(fields, message)),
  error: (fields, message) => context.error(line(fields, message)),
});
