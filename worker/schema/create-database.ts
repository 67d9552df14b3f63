import type pg from "pg";
import { withConnection } from "../postgres/connect.ts";
import { failureCode } from "../postgres/failures.ts";
import { quoteLiteral, quoteName } from "../postgres/quote.ts";
import { inDatabase, type Server } from "../postgres/server.ts";

/** The database that every server has, to stand in while another is made. */
const MAINTENANCE_DATABASE = "postgres";

interface Locale {
  readonly encoding: string;
  readonly collate: string;
  readonly ctype: string;
}

const DUPLICATE_DATABASE = "42P04";

/** invalid_parameter_value and wrong_object_type: the locale is not on the target's system, or does not fit the encoding. */
const BAD_LOCALE = new Set(["22023", "42809"]);

/**
 * Makes the target database when it does not exist, with the source's encoding (SQL_ASCII, which is none, becomes UTF8)
 * and its locale where the target's system has it, else with the server's own.
 * @throws MigrationError of connecting; the server's error when the user may not create databases.
 */
export async function createDatabase(source: Server, target: Server): Promise<void> {
  const wanted = await withConnection(source, { purpose: "locale" }, readLocale);
  const name = quoteName(target.connection.databaseName);
  await withConnection(inDatabase(target, MAINTENANCE_DATABASE), { purpose: "create database" }, async (client) => {
    const { rowCount } = await client.query("SELECT FROM pg_database WHERE datname = $1", [target.connection.databaseName]);
    if (rowCount === 0) await createWith(client, name, wanted);
  });
}

async function readLocale(client: pg.ClientBase): Promise<Locale> {
  const { rows } = await client.query<Locale>(
    `SELECT pg_encoding_to_char(encoding)::text AS encoding, datcollate::text AS collate, datctype::text AS ctype
       FROM pg_database WHERE datname = current_database()`,
  );
  const row = rows[0] ?? { encoding: "UTF8", collate: "C", ctype: "C" };
  return row.encoding === "SQL_ASCII" ? { ...row, encoding: "UTF8" } : row;
}

async function createWith(client: pg.ClientBase, name: string, { encoding, collate, ctype }: Locale): Promise<void> {
  const create = `CREATE DATABASE ${name} TEMPLATE template0 ENCODING ${quoteLiteral(encoding)}`;
  try {
    await client.query(`${create} LC_COLLATE ${quoteLiteral(collate)} LC_CTYPE ${quoteLiteral(ctype)}`);
  } catch (thrown) {
    const code = failureCode(thrown);
    if (code === DUPLICATE_DATABASE) return; // another worker was faster
    if (code === undefined || !BAD_LOCALE.has(code)) throw thrown;
    await client.query(create);
  }
}
