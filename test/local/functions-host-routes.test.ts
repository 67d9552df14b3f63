import { describe, expect, test } from "vitest";
import { findRoute, makeRoutes } from "../../local/functions-host/routes.ts";

function match(template: string, path: string): Record<string, string> | undefined {
  const { routes, errors } = makeRoutes([{ functionName: "f", route: template, methods: [] }], "");
  expect(errors).toEqual([]);
  return findRoute(routes, "GET", path)?.params;
}

describe("a template", () => {
  test.each<[string, string, Record<string, string> | undefined]>([
    ["subscriptions/{id}", "/SUBSCRIPTIONS/AbC", { id: "AbC" }],
    ["a/{b}", "/a", undefined],
    ["a/{b}", "/a//", undefined],
    ["a/{b}", "/a/b/c", undefined],
    ["a/{b?}", "/a", {}],
    ["a/{b=1}", "/a/", { b: "1" }],
    ["a/{b=1}/{c?}", "/a/2/3", { b: "2", c: "3" }],
    ["a/{*rest}", "/a", {}],
    ["a/{*rest}", "/a/b%2Fc/d%20e", { rest: "b%2Fc/d e" }],
    ["{name}.{ext}", "/my.file.json", { name: "my", ext: "file.json" }],
    ["v{major:int}", "/v12", { major: "12" }],
    ["v{major:int}", "/vx", undefined],
    ["a/{b}", "/a/%E0%A4%A", { b: "%E0%A4%A" }],
    ["a%20b", "/a%2520b", {}],
    ["", "/", {}],
    ["{id:guid}", "/5F0E6D5C-1111-2222-3333-444455556666", { id: "5F0E6D5C-1111-2222-3333-444455556666" }],
    ["{id:guid}", "/5F0E6D5C", undefined],
    ["{x:length(2,3)}", "/abcd", undefined],
    ["{x:length(3)}", "/abc", { x: "abc" }],
    ["{x:range(1,9):max(5)}", "/6", undefined],
    ["{x:regex(^\\d{{2}}-(a|b)$)}", "/12-B", { x: "12-B" }],
    ["{x:regex(^\\d{{2}}-(a|b)$)}", "/123-b", undefined],
    ["{x:regex(^a/b$)}", "/a", undefined],
    ["{x:long}", "/9223372036854775808", undefined],
    ["{x:bool}/{y:alpha:minlength(2)}", "/True/ab", { x: "True", y: "ab" }],
  ])("%j on the path %j gives %j", (template, path, expected) => {
    expect(match(template, path)).toEqual(expected);
  });

  test.each([
    ["a//b", /empty segment/],
    ["a/{b", /brace is not closed/],
    ["a}/b", /brace is closed that was not opened/],
    ["{}", /no parameter name/],
    ["{a}/{A}", /"a" appears twice/],
    ["{*a}/b", /catch-all parameter must be the last/],
    ["x{a?}", /segment of its own/],
    ["{a:min(x)}", /is not valid/],
    ["{a:range(1)}", /a range needs two numbers/],
    ["{a:length(x)}", /a length must be a number/],
    ["{a:regex(()}", /is not valid/],
    ["{a=1?}", /is not a parameter/],
    ["runtimes/x", /the runtime keeps for itself/],
  ])("%j is refused with the reason", (route, reason) => {
    const { routes, errors } = makeRoutes([{ functionName: "f", route, methods: [] }], "");
    expect(routes).toEqual([]);
    expect(errors.join()).toMatch(reason);
  });
});

test("routes that differ in the names of parameters only do not clash: the first by function name wins", () => {
  const { routes, errors } = makeRoutes(
    [
      { functionName: "b", route: "x/{name}", methods: ["GET"] },
      { functionName: "A", route: "x/{id}", methods: ["get"] },
    ],
    "api",
  );
  expect(errors).toEqual([]);
  expect(findRoute(routes, "GET", "/api/x/1")).toEqual({ functionName: "A", params: { id: "1" } });
  expect(findRoute(routes, "POST", "/api/x/1")).toBeUndefined();
  expect(findRoute(routes, "GET", "/x/1")).toBeUndefined();
});
