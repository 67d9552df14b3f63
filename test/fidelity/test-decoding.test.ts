import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseTestDecoding, type TextMessage, type TextRow, type TextValue } from "../../worker/incremental-sync/test-decoding.ts";
import { quoteLiteral, quoteName } from "../../worker/postgres/quote.ts";
import { createPair } from "../setup/databases.ts";
import { differences, startEngine } from "./engine.ts";

/** Names as quote_identifier writes them: plain only for what needs no quotes. */
const printName = (name: string): string => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : quoteName(name));

/** Every character that the format uses, and a few others. */
const nasty = fc.string({ unit: fc.constantFrom(..."ab'\"[]:., ()\\\n\tNULLé😀Bnew-tuple:old-key:") });
const name = nasty.filter((text) => text.length > 0 && text.length < 30);
const typeName = fc.oneof(
  fc.constantFrom("integer", "text[]", "timestamp without time zone", '"char"', 'public."T]y[:"'),
  name.map((text) => `public.${quoteName(text)}[]`),
);

interface Printed {
  readonly text: string;
  readonly value: TextValue;
}

const value: fc.Arbitrary<Printed> = fc.oneof(
  nasty.map((text) => ({ text: quoteLiteralAsPlugin(text), value: Buffer.from(text) })),
  fc.string({ unit: fc.constantFrom("0", "1") }).map((bits) => ({ text: `B'${bits}'`, value: Buffer.from(bits) })),
  fc.constantFrom("0", "-12.50", "NaN", "Infinity", "true", "1e-100").map((text) => ({ text, value: Buffer.from(text) })),
  fc.constant({ text: "null", value: null }),
  fc.constant({ text: "unchanged-toast-datum", value: undefined }),
);

/** The plugin doubles apostrophes and nothing else (test_decoding.c, print_literal). */
const quoteLiteralAsPlugin = (text: string): string => `'${text.replaceAll("'", "''")}'`;

const row = fc.uniqueArray(fc.tuple(name, typeName, value), { selector: ([column]) => column, maxLength: 6 });
type Row = typeof row extends fc.Arbitrary<infer R> ? R : never;

const printRow = (columns: Row): string => columns.map(([column, type, { text }]) => ` ${printName(column)}[${type}]:${text}`).join("");
const asRow = (columns: Row): TextRow => ({
  names: columns.map(([column]) => column),
  types: columns.map(([, type]) => type),
  values: columns.map(([, , each]) => each.value),
});

const plain = (message: TextMessage): unknown =>
  JSON.parse(
    JSON.stringify(message, (key, each: unknown) =>
      key === "values"
        ? (each as readonly TextValue[]).map((bytes) => (bytes === undefined ? "unchanged" : bytes && `=${bytes.toString("utf8")}`))
        : each,
    ),
  );

describe("the text of test_decoding", () => {
  test("whatever names and values hold, what the plugin prints is read back as it was", () => {
    fc.assert(
      fc.property(name, name, row, row, (schema, table, old, now) => {
        const head = `table ${printName(schema)}.${printName(table)}: `;
        const found = { schema, name: table };
        const read = (text: string): unknown => plain(parseTestDecoding(Buffer.from(head + text)));
        expect(read(`INSERT:${printRow(now)}`)).toEqual(plain({ kind: "insert", table: found, row: asRow(now) }));
        expect(read(`UPDATE:${printRow(now)}`)).toEqual(plain({ kind: "update", table: found, old: undefined, row: asRow(now) }));
        expect(read(`UPDATE: old-key:${printRow(old)} new-tuple:${printRow(now)}`)).toEqual(
          plain({ kind: "update", table: found, old: asRow(old), row: asRow(now) }),
        );
        expect(read(`DELETE:${printRow(old)}`)).toEqual(plain({ kind: "delete", table: found, old: asRow(old) }));
      }),
      { numRuns: 2_000 },
    );
  });

  test("several tables of a TRUNCATE are read, with its options", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, name), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        fc.boolean(),
        (tables, restartIdentity, cascade) => {
          const flags =
            restartIdentity || cascade ? `${restartIdentity ? " restart_seqs" : ""}${cascade ? " cascade" : ""}` : " (no-flags)";
          const text = `table ${tables.map(([schema, table]) => `${printName(schema)}.${printName(table)}`).join(", ")}: TRUNCATE:${flags}`;
          const expected = {
            kind: "truncate",
            tables: tables.map(([schema, table]) => ({ schema, name: table })),
            cascade,
            restartIdentity,
          };
          expect(parseTestDecoding(Buffer.from(text))).toEqual(expected);
        },
      ),
    );
  });

  test("text that was cut is refused, never half read as something else", () => {
    fc.assert(
      fc.property(
        row.filter((columns) => columns.length > 0),
        fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
        (columns, part) => {
          const whole = Buffer.from(`table public.t: INSERT:${printRow(columns)}`);
          const cut = whole.subarray(0, Math.floor(whole.length * part));
          let read: TextMessage | undefined;
          try {
            read = parseTestDecoding(cut);
          } catch (thrown) {
            expect(thrown).toBeInstanceOf(RangeError);
            expect(String(thrown)).toMatch(/at byte \d+ of \d+$/); // where, never what
            return;
          }
          // What can still be read is a row with fewer columns, or a number or bit string with fewer digits; or no change at all.
          if (read.kind === "insert") expect(read.row.names.length).toBeLessThanOrEqual(columns.length);
          else expect(read.kind).toBe("other");
        },
      ),
    );
  });
});

describe("test_decoding of a real server", () => {
  let pair: Awaited<ReturnType<typeof createPair>>;
  beforeEach(async () => {
    pair = await createPair();
  }, 150_000);
  afterEach(() => pair.drop(), 150_000);

  test.each(["pgoutput", "test_decoding"] as const)("random names of everything and random values arrive by %s", async (plugin) => {
    const texts = fc.sample(name, { seed: 7, numRuns: 400 }).filter((text) => Buffer.byteLength(text) < 50);
    const distinct = [...new Set(texts)];
    const tables = Array.from({ length: 12 }, (_, n) => {
      const [schema, table, type, ...columns] = distinct.slice(n * 7, n * 7 + 7) as [string, string, string, ...string[]];
      return { schema: `s${n}${schema}`, table, type, columns };
    });
    const values = distinct.map((text) => quoteLiteral(text));
    for (const { schema, table, type, columns } of tables) {
      const sql = `CREATE SCHEMA ${quoteName(schema)}; CREATE TYPE ${quoteName(schema)}.${quoteName(type)} AS ENUM (${values.slice(0, 3).join(", ")});
        CREATE TABLE ${quoteName(schema)}.${quoteName(table)} (${quoteName(columns[0] as string)} text PRIMARY KEY,
          ${quoteName(columns[1] as string)} text[], ${quoteName(columns[2] as string)} ${quoteName(schema)}.${quoteName(type)}, ${quoteName(columns[3] as string)} ${quoteName(schema)}.${quoteName(type)}[])`;
      await pair.source.query(sql);
      await pair.target.query(sql);
    }
    const engine = await startEngine(pair, { plugin });
    const names = tables.map(({ schema, table }) => `${quoteName(schema)}.${quoteName(table)}`);
    for (const [n, { columns }] of tables.entries()) {
      const into = names[n] as string;
      const [a, b, c] = values;
      await pair.source.query(
        `INSERT INTO ${into} VALUES ${values.map((text, v) => `(${text}, ARRAY[${text}, NULL, ${values[values.length - 1 - v]}], ${v % 2 ? a : "NULL"}, ARRAY[${b}, ${c}, NULL]::text[]::${quoteName(tables[n]?.schema as string)}.${quoteName(tables[n]?.type as string)}[])`).join(", ")}`,
      );
      const key = quoteName(columns[0] as string);
      await pair.source.query(
        `UPDATE ${into} SET ${key} = ${key} || 'x' WHERE ${key} < 'b'; DELETE FROM ${into} WHERE ${key} = ${values[5]}; UPDATE ${into} SET ${quoteName(columns[1] as string)} = NULL WHERE ${key} > 'N'`,
      );
    }
    await engine.drain();
    expect(await differences(pair, names)).toEqual([]);
    await engine.stop();
  });
});
