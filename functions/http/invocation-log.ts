import { type InvocationContext } from "@azure/functions";
import { type Log } from "../log.ts";

/** The runtime's own log of one invocation. */
export const invocationLog = (context: InvocationContext): Log => ({
  info: (line) => context.info(line),
  warn: (line) => context.warn(line),
  error: (line) => context.error(line),
});
