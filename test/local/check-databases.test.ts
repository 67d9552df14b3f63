import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createPair } from "../setup/databases.ts";

const root = dirname(dirname(import.meta.dirname));

type Pair = Awaited<ReturnType<typeof createPair>>;
let pair: Pair;
beforeEach(async () => {
  pair = await createPair();
});
afterEach(() => pair.drop());

function run(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ["--import", "tsx", "local/check-databases.ts", ...args], { cwd: root });
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, ...output }));
  });
}

const ends = ({ source, target }: Pair): string[] =>
  [source, target].flatMap(({ port, name, server: { side } }) => [
    `--${side}`,
    `postgres://postgres@127.0.0.1:${port}/${name}?sslmode=disable`,
  ]);

test("errors come with code, what was found and remedy, and exit code 1; mended or left out by code, it is 0", async () => {
  await pair.source.query(
    'CREATE TABLE "no.key" (a int); CREATE TABLE fine (id int PRIMARY KEY); CREATE UNLOGGED TABLE u (id int PRIMARY KEY)',
  );
  await pair.target.query('CREATE TABLE "no.key" (a int); CREATE TABLE fine (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)');
  const [refused, allowed, chosen, skipped] = await Promise.all([
    run(...ends(pair)),
    run(...ends(pair), "--set", "tablesWithoutKey=insertsOnly", "--set", "skipChecks=PG1109", "--json"),
    run(...ends(pair), "--tables", "public.fine"),
    run(...ends(pair), "--set", "skipChecks=PG1107"),
  ]);
  expect(refused.code).toBe(1);
  expect(refused.stdout).toMatch(
    /Errors: .*\n +PG1107 .*public\.no\.key: it has no primary key.*\n +remedy: .*ALTER TABLE "public"\."no\.key" REPLICA IDENTITY FULL/,
  );
  expect(refused.stdout).toMatch(/source +t_\w+ at 127\.0\.0\.1:\d+, PostgreSQL 13/);
  expect(refused.stdout).toMatch(/nothing was changed/);

  expect(allowed.code).toBe(0);
  const report = JSON.parse(allowed.stdout) as {
    ok: boolean;
    tables: number;
    findings: { code: string; table?: string; severity: string }[];
  };
  expect(report).toMatchObject({ ok: true, errors: 0, tables: 3, plugin: "pgoutput" });
  expect(report.findings).toContainEqual(expect.objectContaining({ table: "public.no.key", severity: "warning" }));

  expect(chosen.code).toBe(0);
  expect(chosen.stdout).not.toContain("no.key");
  expect(skipped.code).toBe(0);
  expect(skipped.stdout).toMatch(/PG1124 .*PG1107/);
});

test("a server that does not answer is an error of the report; wrong arguments are told and exit with 2", async () => {
  const [source, target] = [ends(pair).slice(0, 2), ends(pair).slice(2)];
  const nowhere = ["--target", "postgres://postgres:s3cret@127.0.0.1:1/x?sslmode=disable"];
  const [unreachable, json, withoutTarget, badSetting] = await Promise.all([
    run(...source, ...nowhere),
    run(...source, ...nowhere, "--json"),
    run(...source),
    run(...source, ...target, "--set", "fullLoadStream=4"),
  ]);
  expect(unreachable.code).toBe(1);
  expect(unreachable.stdout).toMatch(/PG1002 .*127\.0\.0\.1:1[^]*remedy: .*firewall/);
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, errors: 1, findings: [{ code: "PG1002" }] });
  expect(unreachable.stdout + json.stdout + unreachable.stderr).not.toContain("s3cret");
  expect(withoutTarget).toMatchObject({ code: 2, stdout: "" });
  expect(withoutTarget.stderr).toMatch(/--target is missing/);
  expect(badSetting).toMatchObject({ code: 2, stdout: "" });
  expect(badSetting.stderr).toMatch(/fullLoadStream.*Known settings/);
});
