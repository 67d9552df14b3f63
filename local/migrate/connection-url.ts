import { type ConnectionInput } from "../../contracts/wire.ts";
import { UsageError } from "../command-line.ts";

/** A connection whose database is given. */
export type DatabaseConnection = ConnectionInput & { readonly databaseName: string; readonly userName: string };

/** What libpq means by sslmode, in the words of the REST API. */
const sslModes: Readonly<Record<string, Pick<ConnectionInput, "encryptConnection" | "trustServerCertificate">>> = {
  disable: { encryptConnection: false },
  allow: { encryptConnection: false },
  prefer: { encryptConnection: true, trustServerCertificate: true },
  require: { encryptConnection: true, trustServerCertificate: true },
  "no-verify": { encryptConnection: true, trustServerCertificate: true },
  "verify-ca": { encryptConnection: true, trustServerCertificate: false },
  "verify-full": { encryptConnection: true, trustServerCertificate: false },
};

/**
 * Reads postgres://user:password@host:port/database?sslmode=… Without sslmode TLS is on and the certificate is checked.
 * `password` is taken where the URL has none.
 * @throws UsageError that names the option and what is wrong, never the password
 */
export function connectionOf(option: string, text: string | undefined, password: string | undefined): DatabaseConnection {
  const form = `${option} must be like postgres://user@host:5432/database?sslmode=verify-full`;
  if (text === undefined) throw new UsageError(`${option} is missing. ${form}`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^postgres(ql)?:$/.test(url.protocol)) throw new UsageError(`${option} is not the URL of a PostgreSQL database. ${form}`);
  const databaseName = decoded(option, url.pathname.slice(1));
  const userName = decoded(option, url.username);
  if (databaseName === "" || userName === "" || url.hostname === "")
    throw new UsageError(`${option} must name user, host and database. ${form}`);
  const secret = decoded(option, url.password) || password;
  return {
    serverName: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 5432 : Number(url.port),
    databaseName,
    userName,
    ...(secret === undefined ? {} : { password: secret }),
    ...sslOf(option, url.searchParams),
  };
}

function sslOf(option: string, parameters: URLSearchParams) {
  for (const name of parameters.keys())
    if (name !== "sslmode") throw new UsageError(`${option}: the parameter "${name}" is not known here. Known: sslmode.`);
  const mode = parameters.get("sslmode") ?? "verify-full";
  const found = sslModes[mode];
  if (!found) throw new UsageError(`${option}: sslmode must be one of ${Object.keys(sslModes).join(", ")}, but is "${mode}".`);
  return found;
}

function decoded(option: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(`${option}: a "%" of user, password or database must be written as %25.`);
  }
}
