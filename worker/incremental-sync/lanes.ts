import { tableKey } from "../../contracts/tables.ts";
import { type NetChanges, type Segment } from "./fold.ts";
import { type Group } from "./group.ts";
import { type ApplySession } from "./apply-session.ts";
import { type SyncTable } from "./sync-table.ts";
import { keyOf, type Tuple } from "./tuple.ts";

/**
 * How the changes of a table may be spread over sessions that do not see each other's work: by rows, where a row's key is all
 * that is unique in it; as one, where a row may take a value that another one gives up; or not at all, where its
 * changes may touch other tables.
 */
export type Spread = "rows" | "table" | "none";

export interface LaneOptions {
  /** Sessions of the target that apply at once; 1: all in one. */
  readonly count: number;
  /** Smaller groups go through one session: several commits would cost more than they gain. */
  readonly changesMin: number;
}

/** Further sessions of the target, and what may be given to them. */
export class Lanes {
  readonly others: readonly ApplySession[];
  readonly #changesMin: number;

  constructor(others: readonly ApplySession[], changesMin: number) {
    this.others = others;
    this.#changesMin = changesMin;
  }

  /** The parts of a group, one a session, of which none needs what another does; undefined where there are none such. */
  partsOf(group: Group, [segment, ...more]: readonly Segment[]): readonly (readonly NetChanges[])[] | undefined {
    if (this.others.length === 0 || group.endLsn === undefined || group.changes.length < this.#changesMin) return undefined;
    // Several segments must come one after the other.
    if (segment?.kind !== "net" || more.length > 0) return undefined;
    if (segment.tables.some(({ table }) => spreadOf(table) === "none") || isAnyTwice(segment.tables)) return undefined;
    return spread(segment.tables, this.others.length + 1);
  }
}

/** A table whose description changed within the group: its rows may be there twice, and a repair needs each at most once. */
const isAnyTwice = (tables: readonly NetChanges[]): boolean => {
  const described = new Map(tables.map(({ table }) => [table.definition, table]));
  return tables.some(({ table }) => described.get(table.definition) !== table);
};

/** Several tables of the source that go to one of the target keep their order among each other. */
const spreadOf = ({ definition: { spread = "none", isTargetShared } }: SyncTable): Spread =>
  spread === "rows" && isTargetShared === true ? "table" : spread;

/**
 * Spreads net changes over so many lanes: rows of one key and tables of one target stay together and keep their order; whole
 * tables go where least is. Pure.
 */
export function spread(tables: readonly NetChanges[], lanes: number): NetChanges[][] {
  const parts = Array.from({ length: lanes }, (): NetChanges[] => []);
  const sizes = Array<number>(lanes).fill(0);
  const laneOfTarget = new Map<string, number>();
  const give = (lane: number, net: NetChanges): void => {
    if (sizeOf(net) === 0) return;
    parts[lane]?.push(net);
    sizes[lane] = (sizes[lane] ?? 0) + sizeOf(net);
  };
  const byRows = tables.filter(({ table }) => spreadOf(table) === "rows");
  for (const net of byRows) rowsByLane(net, lanes).forEach((part, lane) => give(lane, part));
  for (const net of tables) {
    if (spreadOf(net.table) === "rows") continue;
    const target = tableKey(net.table.definition.target);
    const lane = laneOfTarget.get(target) ?? sizes.indexOf(Math.min(...sizes));
    laneOfTarget.set(target, lane);
    give(lane, net);
  }
  return parts;
}

const sizeOf = ({ deletes, updates, inserts }: NetChanges): number => deletes.length + updates.length + inserts.length;

function rowsByLane({ table, deletes, updates, inserts }: NetChanges, lanes: number): NetChanges[] {
  const of = (rows: readonly Tuple[]): Tuple[][] => {
    const split = Array.from({ length: lanes }, (): Tuple[] => []);
    for (const row of rows) split[hash(keyOf(row, table.keyPositions)) % lanes]?.push(row);
    return split;
  };
  const [deleted, updated, inserted] = [of(deletes), of(updates), of(inserts)];
  return Array.from({ length: lanes }, (_, lane) => ({
    table,
    deletes: deleted[lane] ?? [],
    updates: updated[lane] ?? [],
    inserts: inserted[lane] ?? [],
  }));
}

/** FNV-1a: spreads keys that are alike. */
function hash(key: string): number {
  let value = 0x811c9dc5;
  for (let n = 0; n < key.length; n++) value = Math.imul(value ^ key.charCodeAt(n), 0x01000193);
  return value >>> 0;
}
