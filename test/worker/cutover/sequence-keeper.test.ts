import { expect, test } from "vitest";
import { restMs, valueAhead } from "../../../worker/cutover/sequence-keeper.ts";

test("rounds that take long come seldom: the source is not asked more than a twentieth of the time", () => {
  expect(restMs(30_000, 200)).toBe(30_000);
  expect(restMs(30_000, 24_000)).toBe(480_000);
});

const LIMITS = { increment: 1n, min: 1n, max: 9_223_372_036_854_775_807n, isCycling: false };
const at = (lastValue: string, isCalled = true) => ({ lastValue, isCalled });

test.each([
  ["behind", at("5000"), at("10"), LIMITS, 6000n],
  ["level", at("5000"), at("5000"), LIMITS, 6000n],
  ["a little ahead", at("5000"), at("5400"), LIMITS, 6000n],
  ["far enough ahead", at("5000"), at("5600"), LIMITS, undefined],
  ["past 2^53", at("9007199254740993"), at("1", false), LIMITS, 9_007_199_254_741_993n],
  ["near its end", at("32000"), at("1"), { ...LIMITS, max: 32_767n }, 32_767n],
  ["at its end", at("32767"), at("32767"), { ...LIMITS, max: 32_767n }, undefined],
  ["not drawn yet", at("1", false), at("1", false), LIMITS, 1000n],
  ["downwards", at("-5"), at("-1"), { increment: -1n, min: -9000n, max: -1n, isCycling: false }, -1005n],
  ["downwards, far enough", at("-5"), at("-900"), { increment: -1n, min: -9000n, max: -1n, isCycling: false }, undefined],
  ["in steps", at("70"), at("70"), { ...LIMITS, increment: 10n }, 10_070n],
  ["round and round", at("5000"), at("10"), { ...LIMITS, isCycling: true }, undefined],
])("a sequence that is %s", (_name, source, target, limits, expected) => {
  expect(valueAhead(source, target, limits)).toBe(expected);
});
