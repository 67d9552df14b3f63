import { expect, test } from "vitest";
import { modifierCheck } from "../../../worker/incremental-sync/modifier-check.ts";

// What the types' lengths and precisions do to values that were written by others; for real servers see fidelity/pitfalls.test.ts.
test.each([
  ["numeric(10,2)", ["1.20", "-0.00", "NaN", "Infinity"], ["1.2", "1", "1.234", "12"]],
  ["numeric(10,2)[]", ["{1.20,NULL}", "[0:1]={1.20,NaN}", "[-2:-1][3:4]={{1.00,NULL},{NULL,2.00}}"], ["{1.20,1.2}", "[0:1]={1,2}"]],
  ["numeric(10,0)", ["0", "7", "-120"], ["7.0", "0.5"]],
  ["numeric(3,-2)", ["0", "1200", "-300", "NaN"], ["1234", "50", "1", "1200.0"]],
  ["numeric(3,-2)[]", ["{0,1200}", "[1:2]={100,-300}"], ["{100,10}"]],
  ["numeric(2,5)", ["0.00012"], ["0.0001"]],
  ["numeric", undefined, []],
  ["character(2)", ["ab", "ü "], ["a", "abc", "ü   "]],
  ["character(2)[]", ['{ab,"ü ",NULL}', '[0:0]={"\\"\\\\"}'], ["{a}", '{ab,"ü   "}']],
  ["character varying(3)", ["", "abc", "üüü"], ["abc "]],
  ["character varying(3)[]", ['{"a,b","",NULL,abc}', "{NUL}"], ['{"abc "}', '{"\\"\\\\  "}']],
  ["timestamp(3) without time zone", ["2026-01-01 00:00:00", "2026-01-01 00:00:00.123"], ["2026-01-01 00:00:00.1234"]],
] as const)("values of %s are told from those that it would change", (typeName, fitting, others) => {
  const check = modifierCheck(typeName, "UTF8");
  if (fitting === undefined) return expect(check).toBeUndefined();
  const fits = (text: string): boolean => check?.(Buffer.from(text)) === true;
  expect(fitting.filter((text) => !fits(text))).toEqual([]);
  expect(others.filter(fits)).toEqual([]);
});
