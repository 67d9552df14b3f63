import { type FleetResult, type FleetStep } from "./fleet.ts";
import { type TablesResult } from "./tables.ts";
import { type Figures } from "./window.ts";

/** A straight line through points: what each database adds, and what there is without any. */
function lineThrough(points: readonly (readonly [x: number, y: number])[]): { readonly each: number; readonly base: number } {
  const count = points.length;
  const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / count;
  const [meanX, meanY] = [meanOf(points.map(([x]) => x)), meanOf(points.map(([, y]) => y))];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const each = spread === 0 ? 0 : points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  return { each, base: meanY - each * meanX };
}

const LABEL_CHARS = 52;
const NUMBER_CHARS = 10;

const say = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(value !== 0 && Math.abs(value) < 1 ? 2 : 1);
const row = (label: string, cells: readonly string[]): string =>
  `  ${label.padEnd(LABEL_CHARS)}${cells.map((cell) => cell.padStart(NUMBER_CHARS)).join("")}`;

/** What a fleet costs at each size and, by a line through all sizes, for each database more. */
export function fleetTable(title: string, { steps, start, cutover }: FleetResult): string {
  return [
    `\n${title}`,
    ...stateTable("nothing changes", steps, ({ idle }) => idle),
    ...stateTable("each is written to", steps, ({ busy }) => busy),
    ...wholeTable(`${start.databases} of them begin at once, until the last one follows the changes`, start),
    ...wholeTable(`all ${cutover.databases} are cut over at once, until the last one is COMPLETE`, cutover),
  ].join("\n");
}

function stateTable(state: string, steps: readonly FleetStep[], figuresOf: (step: FleetStep) => Figures): string[] {
  const names = Object.keys(figuresOf(steps[0] as FleetStep));
  const isLine = steps.length > 1;
  const rows = names.map((name) => {
    const points = steps.map((step) => [step.databases, figuresOf(step)[name] ?? 0] as const);
    const { each, base } = lineThrough(points);
    return row(name, [...points.map(([, value]) => say(value)), ...(isLine ? [say(each), say(base)] : [])]);
  });
  const heads = [...steps.map(({ databases }) => `${databases} db`), ...(isLine ? ["each more", "without"] : [])];
  return [`\n${row(state, heads)}`, ...rows];
}

/** Figures of one piece of work. */
export const wholeTable = (title: string, figures: Figures): string[] => [
  `\n  ${title}`,
  ...Object.entries(figures).map(([name, value]) => row(name, [say(value)])),
];

/** What one database of very many tables costs. */
export function tablesTable({ tables, peakMB, phases, untilReady, idle, touched, cutover }: TablesResult): string {
  return [
    `\nOne database of ${tables} tables`,
    ...wholeTable("the worker's memory at most, MB", peakMB),
    ...wholeTable("seconds of each phase", phases),
    ...wholeTable("from the request until it follows the changes", untilReady),
    ...wholeTable("nothing changes", idle),
    ...wholeTable("every table is changed once", touched),
    ...wholeTable("from the cutover's request to COMPLETE", cutover),
  ].join("\n");
}
