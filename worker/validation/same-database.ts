import { failureCode } from "../postgres/failures.ts";
import { type End, type PairCheck } from "./check.ts";

/** What a database knows of its own identity. */
interface DatabaseIdentity {
  /** pg_control's identifier; null before 9.6 and where the role may not read it. */
  readonly systemIdentifier: string | null;
  readonly startedAt: string;
  readonly databaseOid: number;
  readonly databaseName: string;
}

/**
 * Whether both are one database. The identifier alone does not tell: a target restored from a physical copy of the source
 * shares it, but was started at another moment.
 */
export const isSameDatabase = (a: DatabaseIdentity, b: DatabaseIdentity): boolean =>
  (a.systemIdentifier === null || b.systemIdentifier === null || a.systemIdentifier === b.systemIdentifier) &&
  a.startedAt === b.startedAt &&
  a.databaseOid === b.databaseOid &&
  a.databaseName === b.databaseName;

async function readIdentity({ client, versionNum }: End): Promise<DatabaseIdentity> {
  const { rows } = await client.query<{ started_at: string; oid: number; name: string }>(
    `SELECT extract(epoch FROM pg_postmaster_start_time())::text AS started_at, oid, datname::text AS name
       FROM pg_database WHERE datname = current_database()`,
  );
  return {
    systemIdentifier: versionNum >= 90_600 ? await readSystemIdentifier(client) : null,
    startedAt: rows[0]?.started_at ?? "",
    databaseOid: rows[0]?.oid ?? 0,
    databaseName: rows[0]?.name ?? "",
  };
}

async function readSystemIdentifier(client: End["client"]): Promise<string | null> {
  try {
    const { rows } = await client.query<{ id: string }>("SELECT system_identifier::text AS id FROM pg_control_system()");
    return rows[0]?.id ?? null;
  } catch (thrown) {
    if (failureCode(thrown) === "42501") return null; // insufficient_privilege: some platforms close it
    throw thrown;
  }
}

export const targetIsSource: PairCheck = {
  kind: "TargetIsSource",
  scope: "both",
  alsoOnResume: true,
  async run({ source, target }) {
    const [a, b] = await Promise.all([readIdentity(source), readIdentity(target)]);
    return isSameDatabase(a, b) ? [{ detail: `Both are the database ${a.databaseName} of one server.` }] : [];
  },
};
