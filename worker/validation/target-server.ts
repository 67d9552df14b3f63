import { quoteName } from "../postgres/quote.ts";
import { canSetReplicaRole } from "../target/replica-role.ts";
import { type PairCheck, type TargetCheck } from "./check.ts";
import { readSettings } from "./end.ts";
import { versionPair } from "./version-pair.ts";

const readOnly: TargetCheck = {
  kind: "TargetReadOnly",
  scope: "target",
  async run({ target: { client } }) {
    const settings = await readSettings(client, ["default_transaction_read_only", "transaction_read_only"]);
    const { rows } = await client.query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby");
    if (rows[0]?.standby === true) return [{ detail: "It is a standby.", remedy: "Give the address of the primary server." }];
    if ([...settings.values()].every((value) => value === "off")) return [];
    return [
      {
        detail: "default_transaction_read_only is on.",
        remedy: "ALTER DATABASE … RESET default_transaction_read_only; or the same for the role.",
      },
    ];
  },
};

const replicaRole: TargetCheck = {
  kind: "NoReplicaRoleRight",
  scope: "target",
  async run({ target: { client, role, versionNum } }) {
    if (await canSetReplicaRole(client)) return [];
    const remedy =
      versionNum >= 150_000
        ? `GRANT SET ON PARAMETER session_replication_role TO ${quoteName(role)}; or use a user that may.`
        : "Use a superuser, or a member of the platform's administrators (azure_pg_admin).";
    return [{ detail: `The user is ${role}.`, remedy }];
  },
};

const createRight: PairCheck = {
  kind: "NoTargetRight",
  scope: "both",
  async run({ target: { client, role }, targetDatabaseExists }) {
    const { rows } = await client.query<{ createdb: boolean; may_create: boolean; database: string }>(
      `SELECT rolcreatedb OR rolsuper AS createdb, has_database_privilege(current_database(), 'CREATE') AS may_create,
              current_database()::text AS database
         FROM pg_roles WHERE rolname = current_user`,
    );
    const [row] = rows;
    if (!targetDatabaseExists) {
      return row?.createdb === true
        ? []
        : [{ detail: `${role} may not create the database.`, remedy: `ALTER ROLE ${quoteName(role)} CREATEDB;` }];
    }
    if (row?.may_create === true) return [];
    const remedy = `GRANT CREATE ON DATABASE ${quoteName(row?.database ?? "")} TO ${quoteName(role)};`;
    return [
      { detail: `${role} may not create schemas in ${row?.database ?? "the database"}; the migration keeps its books in one.`, remedy },
    ];
  },
};

/** What a target server must have. */
export const targetServerChecks: readonly TargetCheck[] = [readOnly, replicaRole];

/** What source and target must be to each other. */
export const pairServerChecks: readonly PairCheck[] = [versionPair, createRight];
