import type pg from "pg";
import { MigrationError } from "../../contracts/errors.ts";
import { displayName } from "../../contracts/tables.ts";
import { withConnection } from "../postgres/connect.ts";
import { SQL_ASCII } from "../postgres/encoding.ts";
import { failureCode } from "../postgres/failures.ts";
import { type Server } from "../postgres/server.ts";
import { type SyncTarget } from "./sync-table.ts";
import { type NameReader } from "./test-decoding.ts";

/** Encodings in which a name's bytes are those that we hold it in; SQL_ASCII has no characters, and its names were read as UTF-8. */
const OWN_BYTES = new Set(["UTF8", SQL_ASCII]);

const IS_ASCII = /^\p{ASCII}*$/u;

/** untranslatable_character: the encoding does not have it. */
const UNTRANSLATABLE = "22P05";

/**
 * Reads the names in the text of test_decoding, which the walsender sends in the source's encoding, whatever the client asked
 * for. The source itself converts each name that the migration knows, so any encoding that a server can have is read exactly.
 * A name that is none of them gets U+FFFD for what is not ASCII: no name of such an encoding holds that, so it fits no table
 * and no column by accident.
 * @throws MigrationError ApplyFailed when a table of the list has a name that the source cannot have.
 */
export async function sourceNameReader(source: Server, encoding: string, targets: Iterable<SyncTarget>): Promise<NameReader> {
  if (OWN_BYTES.has(encoding)) return remembered((bytes) => Buffer.from(bytes, "latin1").toString("utf8"));
  const tables = [...targets];
  const names = [...new Set(tables.flatMap(namesOf))].filter((name) => !IS_ASCII.test(name));
  const byBytes = await withConnection(source, { purpose: "names" }, (client) => convertNames(client, names));
  const converted = new Set(byBytes.values());
  for (const table of tables) {
    const lost = [table.schema, table.name].find((name) => !IS_ASCII.test(name) && !converted.has(name));
    if (lost !== undefined)
      throw new MigrationError("ApplyFailed", {
        table: displayName(table),
        detail: `The name ${lost} cannot be written in the source's encoding ${encoding}, so its changes could not be told from others.`,
        remedy: "Rename the table on both sides to ASCII and start a new migration.",
      });
  }
  return remembered((bytes) => (IS_ASCII.test(bytes) ? bytes : (byBytes.get(bytes) ?? bytes.replaceAll(/\P{ASCII}/gu, "\ufffd"))));
}

/** Every name of a table's that the stream may hold, those of its types too. */
function namesOf({ schema, name, sourceColumns, ignoredColumns, targetColumns, sourceTypeNames = [] }: SyncTarget): string[] {
  const types = [...targetColumns.values()].map(({ typeName }) => typeName);
  return [schema, name, ...sourceColumns, ...(ignoredColumns ?? []), ...targetColumns.keys(), ...types, ...sourceTypeNames];
}

/** Names by their bytes in the source's encoding, as latin1 strings. What that encoding does not have cannot be in the stream either. */
async function convertNames(client: pg.Client, names: readonly string[]): Promise<Map<string, string>> {
  if (names.length === 0) return new Map();
  try {
    const { rows } = await client.query<{ name: string; hex: string }>(
      "SELECT n AS name, encode(convert_to(n, current_setting('server_encoding')), 'hex') AS hex FROM unnest($1::text[]) n",
      [names],
    );
    return new Map(rows.map(({ name, hex }) => [Buffer.from(hex, "hex").toString("latin1"), name]));
  } catch (thrown) {
    if (failureCode(thrown) !== UNTRANSLATABLE) throw thrown;
    if (names.length === 1) return new Map();
    const half = names.length >> 1;
    return new Map([...(await convertNames(client, names.slice(0, half))), ...(await convertNames(client, names.slice(half)))]);
  }
}

/** The same names come with every row. There are no more of them than the source's catalog has. */
function remembered(read: NameReader): NameReader {
  const known = new Map<string, string>();
  return (bytes) => {
    let name = known.get(bytes);
    if (name === undefined) known.set(bytes, (name = read(bytes)));
    return name;
  };
}
