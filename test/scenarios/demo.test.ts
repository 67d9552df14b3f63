import { afterEach, expect, test } from "vitest";
import { Command } from "./command.ts";

let command: Command;
afterEach(() => command.cleanUp());

test("the demo cuts over under load, proves both sides equal and ends by itself, leaving nothing", { timeout: 150_000 }, async () => {
  command = new Command("demo", ["--rows", "20000", "--sync", "2", "--port", "0"]);
  expect(await command.exited, command.output).toBe(0);
  const { output } = command;
  expect(output).toMatch(/listdb on 13\.10: 21 tables/);
  expect(output).toMatch(/✔ +17 {2}Cutover .*Succeeded: the application stood still for/);
  expect(output).toMatch(/✔ +18 {2}Proof .*both sides are equal: 17 tables/);
  expect(output).toMatch(/✔ +18 {2}Application .*goes on at the target/);
  expect(output).toMatch(/connections checked .*the writer changed [1-9]/);
  expect(output).toMatch(/\n {2}sync .*the writer changed [1-9]/);
  expect(output).toMatch(/cutover window .* [1-9][\d.]* [kMG]?B of changes were on their way/);
  expect(await command.leaves()).toEqual([]);
});
