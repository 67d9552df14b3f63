/** A parsed schedule: which values each field allows. All in UTC. */
export interface Schedule {
  readonly seconds: ReadonlySet<number>;
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
}

interface Field {
  readonly label: string;
  readonly min: number;
  readonly max: number;
  readonly names?: readonly string[];
}

const monthNames = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const weekdayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const fields: readonly Field[] = [
  { label: "second", min: 0, max: 59 },
  { label: "minute", min: 0, max: 59 },
  { label: "hour", min: 0, max: 23 },
  { label: "day", min: 1, max: 31 },
  { label: "month", min: 1, max: 12, names: monthNames },
  { label: "day of week", min: 0, max: 6, names: weekdayNames }, // Sunday is 0; 7 is not allowed
];

/**
 * Parses an NCRONTAB expression: second, minute, hour, day, month, day of week (five fields: without seconds), each `*`, a value, a range `a-b`, a step
 * (every n-th of all, `a-b/n`), or a list of those. Throws an error that names the field.
 */
export function parseSchedule(expression: string): Schedule {
  const texts = expression.trim().split(/\s+/);
  if (texts.length === 5) texts.unshift("0");
  if (texts.length !== 6) {
    throw new Error(
      `the schedule "${expression}" must have six fields (second minute hour day month day-of-week); time spans such as "00:05:00" work only in dedicated plans`,
    );
  }
  const [seconds, minutes, hours, days, months, weekdays] = fields.map((field, index) => parseField(texts[index] ?? "", field, expression));
  if (!seconds || !minutes || !hours || !days || !months || !weekdays) throw new Error("unreachable: six fields were parsed");
  return { seconds, minutes, hours, days, months, weekdays };
}

function parseField(text: string, field: Field, expression: string): Set<number> {
  const values = new Set<number>();
  for (const part of text.split(",")) {
    const range = parsePart(part, field);
    if (!range) {
      throw new Error(`the ${field.label} "${text}" of the schedule "${expression}" is not valid: values are ${field.min} to ${field.max}`);
    }
    for (let value = range.from; value <= range.to; value += range.step) values.add(value);
  }
  return values;
}

function parsePart(part: string, field: Field): { from: number; to: number; step: number } | undefined {
  const match = /^(?:(\*)|(\w+)(?:-(\w+))?)(?:\/(\d+))?$/.exec(part);
  if (!match) return undefined;
  const [, star, first, last, stepText] = match;
  const step = stepText === undefined ? 1 : Number(stepText);
  const from = star ? field.min : valueOf(first, field);
  // "5/15" means from 5 to the end in steps of 15
  const to = star || (last === undefined && stepText !== undefined) ? field.max : last === undefined ? from : valueOf(last, field);
  if (from === undefined || to === undefined || from > to || step < 1) return undefined;
  return { from, to, step };
}

function valueOf(text: string | undefined, { min, max, names = [] }: Field): number | undefined {
  if (text === undefined) return undefined;
  const name = names.findIndex((each) => text.length >= 3 && text.slice(0, 3).toLowerCase() === each);
  const value = name >= 0 ? name + min : /^\d+$/.test(text) ? Number(text) : undefined;
  return value !== undefined && value >= min && value <= max ? value : undefined;
}

const dayMs = 86_400_000;
/** After this the calendar has shown every combination of date and weekday, 29 February over a century included. */
const searchDaysMax = 41 * 366;

/**
 * The first moment after `after` that the schedule allows. Undefined when there is none (30 February).
 * Unlike in classic cron, day and day of week must both match.
 */
export function nextOccurrence(schedule: Schedule, after: Date): Date | undefined {
  const start = Math.floor(after.getTime() / 1_000) * 1_000 + 1_000;
  const startDay = Math.floor(start / dayMs) * dayMs;
  for (let index = 0; index < searchDaysMax; index++) {
    const day = new Date(startDay + index * dayMs);
    if (!schedule.months.has(day.getUTCMonth() + 1) || !schedule.days.has(day.getUTCDate()) || !schedule.weekdays.has(day.getUTCDay()))
      continue;
    const time = firstTime(schedule, index === 0 ? (start - startDay) / 1_000 : 0);
    if (time !== undefined) return new Date(day.getTime() + time * 1_000);
  }
  return undefined;
}

/** The first second of a day, at or after `fromSecond`, whose hour, minute and second are allowed. */
function firstTime({ hours, minutes, seconds }: Schedule, fromSecond: number): number | undefined {
  for (const hour of ascending(hours)) {
    if (hour * 3_600 + 3_599 < fromSecond) continue;
    for (const minute of ascending(minutes)) {
      if (hour * 3_600 + minute * 60 + 59 < fromSecond) continue;
      for (const second of ascending(seconds)) {
        const time = hour * 3_600 + minute * 60 + second;
        if (time >= fromSecond) return time;
      }
    }
  }
  return undefined;
}

const ascending = (values: ReadonlySet<number>): number[] => [...values].sort((a, b) => a - b);
