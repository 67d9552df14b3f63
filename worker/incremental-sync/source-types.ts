import { withConnection } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";

/** The first oid that is not of initdb's (access/transam.h): types from here on are the users', and the extensions'. */
const FIRST_USER_OID = 16_384;

/** Ends the connection, so that the next one reads the types anew. */
class TypeUnknown extends Error {
  readonly code = "57P05"; // tried again like a session that ended
  constructor(oid: number) {
    super(`the stream names the type ${oid}, which was made after the connection; reading the types again`);
    this.name = "TypeUnknown";
  }
}

/** Names of the users' types by oid, which is all that pgoutput tells of a column's type. */
export class SourceTypes {
  readonly #names: ReadonlyMap<number, string>;
  readonly #missed: Set<number>;

  private constructor(names: ReadonlyMap<number, string>, missed: Set<number>) {
    this.#names = names;
    this.#missed = missed;
  }

  /** @param missed types that an earlier connection did not know; outlives the connections of a sync. */
  static async read(source: Server, missed: Set<number>): Promise<SourceTypes> {
    const names = await withConnection(source, { purpose: "types" }, async (client) => {
      const { rows } = await client.query<{ oid: number; name: string }>(
        `SELECT DISTINCT atttypid AS oid, format_type(atttypid, NULL) AS name FROM pg_attribute
          WHERE atttypid >= ${FIRST_USER_OID} AND attnum > 0 AND NOT attisdropped`,
      );
      return new Map(rows.map(({ oid, name }) => [oid, name]));
    });
    return new SourceTypes(names, missed);
  }

  /**
   * The name without modifier; undefined for PostgreSQL's own types, and for one that the source has dropped since.
   * @throws TypeUnknown for a type that may only be too new.
   */
  name(oid: number): string | undefined {
    if (oid < FIRST_USER_OID) return undefined;
    const name = this.#names.get(oid);
    if (name !== undefined || this.#missed.has(oid)) return name;
    this.#missed.add(oid);
    throw new TypeUnknown(oid);
  }
}
