import { Module } from "node:module";
import {
  type FunctionCallback,
  type FunctionMetadata,
  type HookCallback,
  type LogCategory,
  type LogLevel,
  type ProgrammingModel,
} from "./core-types.ts";
import { type HostLog } from "./log.ts";

/** The name that `@azure/functions` requires at run time and that no package has: the runtime answers it. */
const coreSpecifier = "@azure/functions-core";

const hookNames = ["appStart", "appTerminate", "preInvocation", "postInvocation", "log"] as const;
type HookName = (typeof hookNames)[number];

export interface RegisteredFunction {
  readonly metadata: FunctionMetadata;
  readonly callback: FunctionCallback;
}

/** What one application registered while it was loaded. */
export interface Registrations {
  readonly functions: Map<string, RegisteredFunction>;
  readonly hooks: Readonly<Record<HookName, HookCallback[]>>;
  model?: ProgrammingModel;
  locked: boolean;
  readonly log: HostLog;
}

export function newRegistrations(log: HostLog): Registrations {
  const hooks = { appStart: [], appTerminate: [], preInvocation: [], postInvocation: [], log: [] };
  return { functions: new Map(), hooks, locked: false, log };
}

class SystemError extends Error {
  readonly isAzureFunctionsSystemError = true;
}
class SystemRangeError extends RangeError {
  readonly isAzureFunctionsSystemError = true;
}

class Disposable {
  #callOnDispose?: () => unknown;
  constructor(callOnDispose: () => unknown) {
    this.#callOnDispose = callOnDispose;
  }
  static from(...disposables: { dispose(): unknown }[]): Disposable {
    return new Disposable(() => disposables.forEach((each) => each.dispose()));
  }
  dispose(): void {
    this.#callOnDispose?.();
    this.#callOnDispose = undefined;
  }
}

/** The module `@azure/functions-core` as the library sees it, filling `app`. */
function coreApi(app: Registrations): object {
  return {
    version: "4.0.0",
    hostVersion: "4.1000.0",
    Disposable,
    setProgrammingModel: (model: ProgrammingModel) => void (app.model = model),
    getProgrammingModel: () => app.model,
    registerFunction: (metadata: FunctionMetadata, callback: FunctionCallback) => registerFunction(app, metadata, callback),
    registerHook: (name: string, callback: HookCallback) => registerHook(app, name, callback),
    log: (level: LogLevel, category: LogCategory, message: string) => app.log({ level, category, message }),
  };
}

function registerFunction(app: Registrations, metadata: FunctionMetadata, callback: FunctionCallback): Disposable {
  const { name } = metadata;
  if (app.locked) throw new SystemError(`the function "${name}" was registered after the start: register at the top level of a module`);
  if (app.functions.has(name)) throw new SystemError(`a function with the name "${name}" has been registered already`);
  app.functions.set(name, { metadata, callback });
  return new Disposable(() => app.functions.delete(name));
}

function registerHook(app: Registrations, name: string, callback: HookCallback): Disposable {
  const known = hookNames.find((each) => each === name);
  // The library recognises an old runtime by the class and the flag.
  if (!known) throw new SystemRangeError(`unknown hook "${name}": known are ${hookNames.join(", ")}`);
  const hooks = app.hooks[known];
  hooks.push(callback);
  return new Disposable(() => void hooks.splice(hooks.indexOf(callback), 1));
}

/**
 * Answers `require("@azure/functions-core")` with a module that fills `app`, until the returned function is called. The library asks once, at the
 * first `app.*` call, and keeps the answer, so this must stand before the application is loaded.
 *
 * It replaces `Module.prototype.require`, as the real Node worker does: that reaches CommonJS, ES modules and bundles alike.
 */
export function answerCoreModule(app: Registrations): () => void {
  const prototype = Module.prototype as unknown as { require: (this: unknown, id: string) => unknown };
  const original = prototype.require;
  const api = coreApi(app);
  const replacement = function (this: unknown, id: string): unknown {
    return id === coreSpecifier ? api : original.call(this, id);
  };
  prototype.require = replacement;
  return () => {
    if (prototype.require === replacement) prototype.require = original;
  };
}
