import { randomBytes, randomUUID } from "node:crypto";
import { type RegisteredFunction, type Registrations } from "./core.ts";
import {
  type CoreInvocationContext,
  type FunctionCallback,
  type FunctionMetadata,
  type InvocationModel,
  type InvocationResponse,
  type RpcTypedData,
} from "./core-types.ts";
import { within } from "./running.ts";

export interface InvocationInput {
  /** Of the trigger binding. */
  readonly data: RpcTypedData;
  readonly triggerMetadata: Readonly<Record<string, RpcTypedData>>;
  readonly traceParent?: string;
  readonly traceState?: string;
}

/** The trigger of a function: its binding name and the options of the registration. */
export function triggerOf(metadata: FunctionMetadata): { name: string; type: string; options: Readonly<Record<string, unknown>> } {
  const found = Object.entries(metadata.bindings).find(([, { type }]) => /trigger$/i.test(type));
  if (!found) throw new Error(`the function "${metadata.name}" has no trigger`);
  const [name, options] = found;
  return { name, type: options.type.toLowerCase(), options };
}

/**
 * Runs a function once, step by step as the real Node worker does: arguments, pre-invocation hooks (which may replace inputs and handler), the
 * handler, post-invocation hooks (which may replace result and error), response.
 *
 * Throws what the function or a hook threw, after logging it. `timeoutMs` ends only the wait, not the function.
 */
export async function invoke(
  app: Registrations,
  registered: RegisteredFunction,
  input: InvocationInput,
  timeoutMs: number,
): Promise<InvocationResponse> {
  const { context, setContext } = coreContext(app, registered, input);
  try {
    return await within(timeoutMs, run(app, registered, context, setContext), "the function ran longer than functionTimeout of host.json");
  } catch (error) {
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    context.log("error", "system", `invocation ${context.invocationId} failed: ${detail}`);
    throw error;
  }
}

type SetContext = (invocationContext: unknown) => void;

async function run(
  app: Registrations,
  { callback }: RegisteredFunction,
  core: CoreInvocationContext,
  setContext: SetContext,
): Promise<InvocationResponse> {
  if (!app.model) throw new Error("no programming model");
  const model = app.model.getInvocationModel(core);
  const { context, inputs } = await model.getArguments();
  setContext(context);
  const hook = { hookData: {}, appHookData: {}, invocationContext: context, functionCallback: callback, inputs };
  core.state = "preInvocationHooks";
  for (const before of app.hooks.preInvocation) await before(hook);
  core.state = "invocation";
  const after = await invokeHandler(model, context, hook);
  core.state = "postInvocationHooks";
  for (const each of app.hooks.postInvocation) await each(after);
  // A post hook says "handled" by setting the error to null or undefined.
  if (after.error !== null && after.error !== undefined) throw asError(after.error);
  return model.getResponse(context, after.result);
}

interface BeforeHandler extends Record<string, unknown> {
  functionCallback: FunctionCallback;
  inputs: unknown[];
}

async function invokeHandler(model: InvocationModel, context: unknown, before: BeforeHandler) {
  const { functionCallback, ...rest } = before;
  const after: Record<string, unknown> & { result: unknown; error: unknown } = { ...rest, result: null, error: null };
  try {
    after.result = await model.invokeFunction(context, before.inputs, functionCallback);
  } catch (error) {
    after.error = error ?? new Error("the function threw nothing");
  }
  return after;
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error), { cause: error }));

function coreContext(app: Registrations, { metadata }: RegisteredFunction, input: InvocationInput) {
  const invocationId = randomUUID();
  let invocationContext: unknown;
  const context: CoreInvocationContext = {
    invocationId,
    metadata,
    request: {
      invocationId,
      inputData: [{ name: triggerOf(metadata).name, data: input.data }],
      triggerMetadata: input.triggerMetadata,
      traceContext: { traceParent: input.traceParent ?? newTraceParent(), traceState: input.traceState ?? "", attributes: {} },
    },
    log(level, category, message) {
      const entry = { level, category, message, invocationContext, hookData: {}, appHookData: {} };
      for (const hook of app.hooks.log) hook(entry);
      app.log({ level: entry.level, category, message: entry.message, functionName: metadata.name, invocationId });
    },
  };
  return { context, setContext: (value: unknown) => void (invocationContext = value) };
}

/** W3C trace context; the platform gives every invocation one. */
const newTraceParent = (): string => `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-00`;
