import { tableKey } from "../../contracts/tables.ts";
import { type Column, type TableDefinition } from "../source/catalog.ts";

/** How a column of the target does not fit the source's. */
export interface ColumnDifference {
  readonly column: string;
  readonly kind: "missing" | "type" | "generatedOnTarget" | "generatedOnSource";
  readonly sourceType: string;
  readonly targetType: string;
}

export interface TableComparison {
  /** Tables that the target lacks. */
  readonly missing: readonly TableDefinition[];
  readonly different: readonly { readonly table: TableDefinition; readonly differences: readonly ColumnDifference[] }[];
}

/**
 * Compares the source's tables with those of the target that take their rows. Pure.
 * @param targets by tableKey of the source's table.
 */
export function compareTables(source: readonly TableDefinition[], targets: ReadonlyMap<string, TableDefinition>): TableComparison {
  const missing = source.filter((table) => !targets.has(tableKey(table)));
  const different = source.flatMap((table) => {
    const differences = compareColumns(table.columns, targets.get(tableKey(table))?.columns);
    return differences.length > 0 ? [{ table, differences }] : [];
  });
  return { missing, different };
}

function compareColumns(source: readonly Column[], target: readonly Column[] | undefined): ColumnDifference[] {
  if (!target) return [];
  const targets = new Map(target.map((column) => [column.name, column]));
  return source.flatMap((column) => {
    const kind = differenceKind(column, targets.get(column.name));
    if (!kind) return [];
    return [{ column: column.name, kind, sourceType: column.typeName, targetType: targets.get(column.name)?.typeName ?? "" }];
  });
}

function differenceKind(source: Column, target: Column | undefined): ColumnDifference["kind"] | undefined {
  if (!target) return "missing";
  if (source.isGenerated && !target.isGenerated) return "generatedOnSource";
  if (!source.isGenerated && target.isGenerated) return "generatedOnTarget";
  return typesFit(source.typeName, target.typeName) ? undefined : "type";
}

/** Types that hold every value of the first, and read its text. */
const WIDER: Readonly<Record<string, readonly string[]>> = {
  smallint: ["integer", "bigint", "numeric", "text"],
  integer: ["bigint", "numeric", "text"],
  bigint: ["numeric", "text"],
  real: ["double precision"],
  json: ["text"],
  uuid: ["text"],
};

const MODIFIER = /\(([-\d,]+)\)/;
const TEXTS = /^(text|character varying)$/;

/**
 * Whether values of the source's type can be held by the target's. Equal, or the same type name in another schema
 * (extensions are not everywhere installed in the same one), or wider: values travel as text, so that is no loss.
 */
export function typesFit(source: string, target: string): boolean {
  if (source === target || withoutSchema(source) === withoutSchema(target)) return true;
  const [sourceBase, targetBase] = [source.replace(MODIFIER, ""), target.replace(MODIFIER, "")];
  if (WIDER[sourceBase]?.includes(target) === true) return true;
  if (TEXTS.test(sourceBase) && TEXTS.test(target)) return true;
  if (sourceBase !== targetBase) return false;
  const [sourceModifier, targetModifier] = [MODIFIER.exec(source)?.[1], MODIFIER.exec(target)?.[1]];
  if (targetModifier === undefined) return sourceBase !== "character"; // "character" alone means character(1)
  if (sourceBase !== "character varying" || sourceModifier === undefined) return false;
  return Number(targetModifier) >= Number(sourceModifier);
}

/** Fields and precision of an interval, a modifier in parentheses, and what format_type calls an unlimited char(n). */
const INTERVAL = /^interval\b[^[]*/;
const MODIFIERS = /"(?:[^"]|"")*"|\([^()"]*\)/g;

/** A type as format_type writes it without its modifier. */
export const withoutModifier = (typeName: string): string =>
  typeName
    .replaceAll(MODIFIERS, (part) => (part.startsWith('"') ? part : ""))
    .replace(INTERVAL, "interval")
    .replace(/^bpchar(?=(\[\])*$)/, "character")
    .replace(/^"bit"/, "bit");

const withoutSchema = (typeName: string): string => typeName.replace(/^(?:"(?:[^"]|"")+"|[^".\s(]+)\.(?=.)/, "");

/** A difference in words. */
export function sayDifference({ column, kind, sourceType, targetType }: ColumnDifference): string {
  switch (kind) {
    case "missing":
      return `the target has no column ${column} (${sourceType})`;
    case "type":
      return `column ${column} is ${sourceType} on the source, ${targetType} on the target`;
    case "generatedOnTarget":
      return `column ${column} is generated on the target only`;
    case "generatedOnSource":
      return `column ${column} is generated on the source only: the target would get no values for it`;
  }
}
