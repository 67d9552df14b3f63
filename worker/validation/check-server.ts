import { type ReportedError } from "../../contracts/errors.ts";
import { withConnection } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { runChecks, type End, type Plugin } from "./check.ts";
import { readEnd, readServerFacts, type ServerFacts } from "./end.ts";
import { oneServer, slotProbe } from "./slot-probe.ts";
import { sourceServerChecks } from "./source-server.ts";
import { targetServerChecks } from "./target-server.ts";
import { versionFinding } from "./version-pair.ts";

export interface ServerReport extends ServerFacts {
  readonly findings: ReportedError[];
}

const PROBE_SECONDS = 10;

/** The plugin that suits the server, as long as nothing is known of the tables. */
const likelyPlugin = ({ versionNum }: End): Plugin => (versionNum >= 100_000 ? "pgoutput" : "test_decoding");

/** Every check of a source server that needs no tables. */
export const allSourceChecks = [...sourceServerChecks, oneServer, slotProbe];

/**
 * The task ConnectToSource: connects, checks the server, lists its databases.
 * @throws MigrationError when the source cannot be connected to.
 */
export function checkSource(source: Server, { signal }: { readonly signal: AbortSignal }): Promise<ServerReport> {
  return withConnection(source, { purpose: "checks" }, async (client) => {
    const end = await readEnd(client, source);
    const context = { source: end, signal, slotTimeoutSeconds: PROBE_SECONDS, plugin: likelyPlugin(end) };
    return { ...(await readServerFacts(client)), findings: await runChecks(allSourceChecks, context) };
  });
}

/**
 * The task ConnectToTarget: connects, checks the server, lists its databases; with a source also whether the versions go
 * together.
 * @throws MigrationError when the target (or the given source) cannot be connected to.
 */
export function checkTarget(
  target: Server,
  { signal, source }: { readonly signal: AbortSignal; readonly source?: Server },
): Promise<ServerReport> {
  return withConnection(target, { purpose: "checks" }, async (client) => {
    const end = await readEnd(client, target);
    const findings = await runChecks(targetServerChecks, { target: end, signal });
    const pair = source ? await withConnection(source, { purpose: "checks" }, (other) => versionFinding(other, end)) : [];
    return { ...(await readServerFacts(client)), findings: [...pair, ...findings] };
  });
}
