import { MigrationError, type ErrorKind } from "../../contracts/errors.ts";
import { type Side } from "./server.ts";

/** Failures are recognised by SQLSTATE or by the system's error code, never by their text (it changes with version and language). */
export function failureCode(thrown: unknown): string | undefined {
  if (thrown instanceof MigrationError) return failureCode(thrown.detail.cause);
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

const UNREACHABLE = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "ETIMEDOUT",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "ECONNRESET",
  "EPIPE",
  "ENETDOWN",
]);

/**
 * SQLSTATEs after which a new connection and the same work may succeed (PostgreSQL manual, appendix A).
 * 53100 disk_full and 25006 read_only_sql_transaction are here because an operator mends them while we wait.
 */
const TRANSIENT_STATES = new Set([
  "57P01", // admin_shutdown
  "57P02", // crash_shutdown
  "57P03", // cannot_connect_now
  "57P05", // idle_session_timeout
  "57014", // query_canceled: a statement timeout set by somebody else
  "53000", // insufficient_resources
  "53100", // disk_full
  "53200", // out_of_memory
  "53300", // too_many_connections
  "55006", // object_in_use: the previous walsender has not let go of the slot yet
  "55P03", // lock_not_available
  "40001", // serialization_failure
  "40P01", // deadlock_detected
  "25006", // read_only_sql_transaction: a fail-over is going on
  "25P03", // idle_in_transaction_session_timeout
]);

/** The connection itself ended, so whatever ran on it is unknown and a new one is needed. */
export class ConnectionLost extends Error {
  readonly code = "ECONNRESET";
  readonly side: Side;
  constructor(side: Side, cause?: unknown) {
    super(`the connection to the ${side} ended`, { cause });
    this.name = "ConnectionLost";
    this.side = side;
  }
}

/** `pg` reports a connection that ended with plain errors that carry no code; this is its wording in `pg` 8 (lib/client.js). */
const CONNECTION_ENDED =
  /^(Connection terminated|Client has encountered a connection error|timeout expired|Client was closed|Query read timeout)/;

/** Whether trying again on new connections can help. */
export function isTransient(thrown: unknown): boolean {
  if (thrown instanceof MigrationError) {
    if (thrown.kind === "SourceUnreachable" || thrown.kind === "TargetUnreachable") return true;
    return thrown.detail.cause !== undefined && isTransient(thrown.detail.cause);
  }
  const code = failureCode(thrown);
  if (code !== undefined) return UNREACHABLE.has(code) || TRANSIENT_STATES.has(code) || code.startsWith("08");
  return thrown instanceof Error && CONNECTION_ENDED.test(thrown.message);
}

const kinds: Record<Side, { unreachable: ErrorKind; login: ErrorKind; tls: ErrorKind; database: ErrorKind }> = {
  source: { unreachable: "SourceUnreachable", login: "SourceLoginFailed", tls: "SourceTlsFailed", database: "SourceDatabaseMissing" },
  target: { unreachable: "TargetUnreachable", login: "TargetLoginFailed", tls: "TargetTlsFailed", database: "TargetDatabaseMissing" },
};

const TLS_CODE = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|ERR_OSSL|HOSTNAME_MISMATCH|EPROTO)/;
const NO_TLS = /does not support SSL/; // pg has no code for it (lib/connection.js)

/** Which error of the list a failed login is; undefined when it is none of them. */
export function connectFailure(side: Side, thrown: unknown): ErrorKind | undefined {
  const code = failureCode(thrown);
  const message = thrown instanceof Error ? thrown.message : "";
  if (code !== undefined && TLS_CODE.test(code)) return kinds[side].tls;
  if (NO_TLS.test(message)) return kinds[side].tls;
  if (code === "28P01" || code === "28000") return kinds[side].login;
  if (code === "3D000") return kinds[side].database;
  if (isTransient(thrown)) return kinds[side].unreachable;
  return undefined;
}
