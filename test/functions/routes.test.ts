import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ControlPlane } from "../../functions/control-plane.ts";
import { endpointsOf } from "../../functions/endpoints.ts";
import { startPlane, type Plane } from "./fixtures/plane.ts";

const endpoints = endpointsOf({} as ControlPlane);
let plane: Plane;
beforeAll(async () => {
  plane = await startPlane();
});
afterAll(() => plane.stop());

/** Whether an address fits a template, as the runtime has it: literals in any case, one segment for each parameter. */
const fits = (template: string, path: string): boolean => {
  const [words, parts] = [template.split("/"), path.split("/")];
  return (
    words.length === parts.length && words.every((word, at) => word.startsWith("{") || word.toLowerCase() === parts[at]?.toLowerCase())
  );
};
const sample = (template: string): string => template.replaceAll(/\{(\w+)\}/g, "a-$1");

test("every address and method leads to exactly one function, so that the order of names does not matter", () => {
  for (const { name, method, route } of endpoints) {
    const found = endpoints.filter((other) => other.method === method && fits(other.route, sample(route)));
    expect(found.map((other) => other.name)).toEqual([name]);
  }
});

test("names of functions are allowed and unique", () => {
  const names = endpoints.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const name of names) expect(name).toMatch(/^[a-z][a-z0-9_-]{0,127}$/);
});

test("the host runs every one of them", () => {
  expect(plane.host.errors).toEqual([]);
  const routed = plane.host.routes.map(({ functionName }) => functionName);
  expect(routed.sort()).toEqual(expect.arrayContaining(endpoints.map(({ name }) => name)));
});

test("routes begin where the addresses of Resource Manager begin", () => {
  const hostJson = JSON.parse(readFileSync("host.json", "utf8")) as { extensions: { http: { routePrefix: string } } };
  expect(hostJson.extensions.http.routePrefix).toBe("");
});
