import { describe, expect, test } from "vitest";
import { nextOccurrence, parseSchedule } from "../../local/functions-host/ncrontab.ts";

const next = (expression: string, after: string): string | undefined =>
  nextOccurrence(parseSchedule(expression), new Date(after))?.toISOString();

describe("the next occurrence of a schedule", () => {
  test.each([
    ["every minute", "0 */1 * * * *", "2026-11-22T10:00:00.000Z", "2026-11-22T10:01:00.000Z"],
    ["strictly after the given moment", "* * * * * *", "2026-11-22T10:00:00.999Z", "2026-11-22T10:00:01.000Z"],
    ["five fields mean second 0", "30 4 * * *", "2026-11-22T10:00:00Z", "2026-11-23T04:30:00.000Z"],
    ["lists, ranges and steps", "0 5-20/5,50 9 * * *", "2026-11-22T09:20:00Z", "2026-11-22T09:50:00.000Z"],
    ["a start with a step runs to the end of the field", "0 7/20 * * * *", "2026-11-22T09:28:00Z", "2026-11-22T09:47:00.000Z"],
    ["names, over the end of the year", "0 0 0 1 jan *", "2026-11-22T00:00:00Z", "2027-01-01T00:00:00.000Z"],
    ["the last second of a day", "59 59 23 * * *", "2026-11-22T23:59:58Z", "2026-11-22T23:59:59.000Z"],
    ["29 February", "0 0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00.000Z"],
    ["29 February on a Sunday, decades ahead", "0 0 0 29 feb sunday", "2032-03-01T00:00:00Z", "2060-02-29T00:00:00.000Z"],
  ])("%s", (_, expression, after, expected) => {
    expect(next(expression, after)).toBe(expected);
  });

  test("day and weekday must both match, unlike in classic cron", () => {
    expect(next("0 0 0 13 * fri", "2026-11-22T00:00:00Z")).toBe("2027-08-13T00:00:00.000Z");
  });

  test("is undefined when the calendar has none", () => {
    expect(next("0 0 0 30 2 *", "2026-11-22T00:00:00Z")).toBeUndefined();
  });
});

test.each([
  ["00:05:00", /six fields/],
  ["60 * * * * *", /second "60".*0 to 59/],
  ["* * * * * 7", /day of week "7"/],
  ["* * 5-3 * * *", /hour "5-3"/],
  ["* */0 * * * *", /minute/],
  ["* * * * monday *", /month/],
  ["", /six fields/],
])("the schedule %j is refused with the field that is wrong", (expression, message) => {
  expect(() => parseSchedule(expression)).toThrow(message);
});
