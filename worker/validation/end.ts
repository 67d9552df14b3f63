import type pg from "pg";
import { versionNum } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { type End } from "./check.ts";

/** What the connect tasks tell of a server. */
export interface ServerFacts {
  /** As the server says it: "13.10", with the distribution's addition. */
  readonly serverVersion: string;
  /** "PostgreSQL 13.10" */
  readonly serverBrandVersion: string;
  /** Databases that the user may connect to; no templates, none of the platform's own. */
  readonly databases: string[];
}

/** Databases that managed platforms keep for themselves. */
const PLATFORM_DATABASES = ["azure_maintenance", "azure_sys", "rdsadmin", "cloudsqladmin", "alloydbadmin"];

/** Reads what every check wants to know of one end. */
export async function readEnd(client: pg.Client, server: Server): Promise<End> {
  const { rows } = await client.query<{ role: string; is_superuser: boolean }>(
    "SELECT current_user::text AS role, rolsuper AS is_superuser FROM pg_roles WHERE rolname = current_user",
  );
  return {
    client,
    server,
    versionNum: await versionNum(client),
    role: rows[0]?.role ?? server.connection.userName,
    isSuperuser: rows[0]?.is_superuser ?? false,
  };
}

/** Reads the version in words and the databases. */
export async function readServerFacts(client: pg.Client): Promise<ServerFacts> {
  const version = await client.query<{ version: string }>("SELECT current_setting('server_version') AS version");
  const serverVersion = version.rows[0]?.version ?? "";
  const databases = await client.query<{ name: string }>(
    `SELECT datname::text AS name FROM pg_database
      WHERE datallowconn AND NOT datistemplate AND datname <> ALL ($1::name[]) AND has_database_privilege(oid, 'CONNECT')
      ORDER BY datname`,
    [PLATFORM_DATABASES],
  );
  return {
    serverVersion,
    serverBrandVersion: `PostgreSQL ${serverVersion.split(" ")[0] ?? ""}`,
    databases: databases.rows.map(({ name }) => name),
  };
}

/**
 * Reads server settings by name; those that the server does not have are left out. Values are in the setting's own unit.
 * (pg_settings, because current_setting's missing_ok came with 9.6.)
 */
export async function readSettings(client: pg.Client, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    "SELECT name, setting FROM pg_settings WHERE name = ANY ($1::text[])",
    [names],
  );
  return new Map(rows.map(({ name, setting }) => [name, setting]));
}

/** "13.10" for 130010, "9.4.26" for 90426. */
export function versionText(versionNum: number): string {
  return versionNum >= 100_000
    ? `${Math.floor(versionNum / 10_000)}.${versionNum % 10_000}`
    : `${Math.floor(versionNum / 10_000)}.${Math.floor(versionNum / 100) % 100}.${versionNum % 100}`;
}

/** What "the same major version" means: 13 for 13.10, 904 for 9.4 (two-part majors until 9.6). */
export const majorOf = (versionNum: number): number =>
  versionNum >= 100_000 ? Math.floor(versionNum / 10_000) * 100 : Math.floor(versionNum / 100);
