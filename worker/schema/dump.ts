import { MigrationError } from "../../contracts/errors.ts";
import { versionNum, withConnection } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { findPgDump, runPgDump } from "./native-dump.ts";
import { findWasmDump, runWasmDump, WASM_DUMP_MAJOR } from "./wasm-dump.ts";

export interface DumpOptions {
  /** The pg_dump to use. Default: the one on PATH. */
  readonly pgDumpPath?: string;
  /** Whether objects keep their owners. Default: no. */
  readonly owners?: boolean;
  /** Whether rights come along. Default: no. */
  readonly privileges?: boolean;
  readonly signal: AbortSignal;
}

/**
 * What the dump leaves out, beside owners and rights unless they are asked for (the target's user owns all): publications and subscriptions (they would
 * act), tablespaces and security labels (the target has others), and bookkeeping of ours from an earlier life of the source.
 */
const DUMP_ARGUMENTS = [
  "--schema-only",
  "--no-publications",
  "--no-subscriptions",
  "--no-tablespaces",
  "--no-security-labels",
  "--exclude-schema=pgdms",
  // Words that became reserved after the source's version would otherwise break the restore (manual, pg_dump).
  "--quote-all-identifiers",
  "--lock-wait-timeout=60000",
  "--encoding=UTF8",
];

/** Which pg_dump is used: a program, or the one in WebAssembly that development brings along. */
export type DumpTool =
  { readonly kind: "native"; readonly path: string; readonly major: number } | { readonly kind: "wasm"; readonly modulePath: string };

const majorOf = (versionNum: number): number => (versionNum >= 100_000 ? Math.floor(versionNum / 10_000) : 9);

/**
 * The pg_dump that can read the source: a program of its major version or later, else the one in WebAssembly.
 * @throws MigrationError PgDumpUnusable
 */
export async function chooseDumpTool(sourceVersionNum: number, pgDumpPath = "pg_dump"): Promise<DumpTool> {
  const major = majorOf(sourceVersionNum);
  const native = await findPgDump(pgDumpPath);
  if (native && native.major >= major) return { kind: "native", ...native };
  const modulePath = findWasmDump();
  if (modulePath !== undefined && WASM_DUMP_MAJOR >= major) return { kind: "wasm", modulePath };
  const found = native ? `${pgDumpPath} is of version ${native.major}` : `${pgDumpPath} cannot be run`;
  throw new MigrationError("PgDumpUnusable", { detail: `${found}; the source is of version ${major}.` });
}

/**
 * The schema of the source database as SQL text.
 * @throws MigrationError PgDumpUnusable when there is no pg_dump, or when it fails; its message is in the detail.
 */
export async function dumpSchema(source: Server, { pgDumpPath, owners = false, privileges = false, signal }: DumpOptions): Promise<string> {
  const version = await withConnection(source, { purpose: "schema dump" }, versionNum);
  const tool = await chooseDumpTool(version, pgDumpPath);
  return runDump(tool, source, [...DUMP_ARGUMENTS, ...(owners ? [] : ["--no-owner"]), ...(privileges ? [] : ["--no-privileges"])], signal);
}

/** Runs the tool on any server with any arguments; the text is as it wrote it. */
export function runDump(tool: DumpTool, server: Server, dumpArguments: readonly string[], signal: AbortSignal): Promise<string> {
  return tool.kind === "native"
    ? runPgDump(tool.path, server, dumpArguments, signal)
    : runWasmDump(tool.modulePath, server, dumpArguments, signal);
}
