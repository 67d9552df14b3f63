import type pg from "pg";
import { connect, type ConnectOptions, withConnection } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";

/**
 * Opens the target's session that changes are applied in. Keys may be of types whose equality is not in pg_catalog (ltree,
 * hstore, citext): the schemas of such operators are searched after it, so that nothing of PostgreSQL's own is hidden.
 * @throws MigrationError as connect does.
 */
export async function openApplySession(target: Server, options: ConnectOptions): Promise<pg.Client> {
  const client = await connect(target, options);
  try {
    await client.query(
      `SELECT set_config('search_path', (SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname <> 'pg_catalog', n.nspname)
         FROM pg_namespace n WHERE EXISTS (SELECT FROM pg_operator o WHERE o.oprnamespace = n.oid AND o.oprname = '=')), false)`,
    );
    return client;
  } catch (thrown) {
    await client.end().catch(() => undefined);
    throw thrown;
  }
}

/** What test_decoding writes in: the walsender converts pgoutput's texts to the client's encoding, but not a plugin's own text. */
export const readServerEncoding = (source: Server): Promise<string> =>
  withConnection(source, { purpose: "encoding" }, async (client) => {
    const { rows } = await client.query<{ encoding: string }>("SELECT current_setting('server_encoding') AS encoding");
    return rows[0]?.encoding ?? "UTF8";
  });
