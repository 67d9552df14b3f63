import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createPair, type TestDatabase } from "../setup/databases.ts";
import { Command } from "./command.ts";
import { contents, leftOnSource, leftOnTarget } from "./world.ts";

vi.setConfig({ testTimeout: 120_000 }); // each test starts all of pgdms, some twice

let pair: Awaited<ReturnType<typeof createPair>>;
const commands: Command[] = [];

beforeEach(async () => {
  pair = await createPair();
  await pair.source.query(`
    CREATE TABLE notes (id serial PRIMARY KEY, note text);
    CREATE TABLE tags (id int PRIMARY KEY, name text UNIQUE);
    INSERT INTO notes (note) SELECT 'note ' || n FROM generate_series(1, 2000) n;
    INSERT INTO tags SELECT n, 'tag ' || n FROM generate_series(1, 50) n`);
});

afterEach(async () => {
  for (const command of commands.splice(0)) await command.cleanUp();
  await pair.drop();
});

const url = ({ port, name }: TestDatabase): string => `postgres://postgres@127.0.0.1:${port}/${name}?sslmode=disable`;

/** `npm run migrate` between the two databases; a folder makes it go on where another one was. */
function migrate(args: readonly string[] = [], folder = Command.makeFolder()): Command {
  const ends = ["--source", url(pair.source), "--target", url(pair.target)];
  const command = new Command("migrate", [...ends, "--port", "0", "--data", `${folder}/data`, ...args], folder);
  commands.push(command);
  return command;
}

/** Shown when changes have been followed for some seconds; shorter phases may pass between two looks. */
const isFollowing = /… .*Incremental sync/;

const tables = ["notes", "tags"];

async function expectEqual(names: readonly string[] = tables): Promise<void> {
  for (const name of names) expect(await contents(pair.target, name)).toEqual(await contents(pair.source, name));
  expect([await leftOnSource(pair.source), await leftOnTarget(pair.target)]).toEqual([[], []]);
}

test("migrate --cutover when-ready --fence readOnly moves the named tables only and leaves the source read-only; without a comparison there is no proof, so the exit code is not 0", async () => {
  const command = migrate([
    ...["--cutover", "when-ready", "--fence", "readOnly", "--tables", "public.tags"],
    ...["--set", "compareAtCutover=none"],
  ]);
  expect(await command.exited).toBe(1);
  expect(command.output).toMatch(/has moved, but nothing was compared/);
  await expect(pair.source.query("SELECT 1")).rejects.toThrow(); // its session was ended
  await pair.source.reconnect();
  await expect(pair.source.query("INSERT INTO tags VALUES (99, 'late')")).rejects.toThrow("read-only transaction");
  await expectEqual(["tags"]);
  const { rows } = await pair.target.query("SELECT count(*)::int AS rows FROM notes").catch(() => ({ rows: [{ rows: 0 }] }));
  expect(rows).toEqual([{ rows: 0 }]);
});

test("migrate that is ended by Ctrl-C pauses; the same command goes on, waits for the word, cuts over when it is typed, and exits with 0 after the proof", async () => {
  const first = migrate();
  await first.says(isFollowing);
  first.kill("SIGINT");
  expect(await first.exited).toBe(130);
  expect(first.output).toMatch(/Paused\. The same command goes on/);
  expect(await first.leaves()).toEqual([]);
  await pair.source.query("UPDATE notes SET note = 'written while it was paused' WHERE id < 100");

  const second = migrate([], first.folder);
  await second.says(isFollowing);
  expect(second.output).toMatch(/is under way .*going on with it/);
  await pair.source.query("INSERT INTO notes (note) VALUES ('written during the sync')");
  second.type("please");
  second.type("cutover");
  expect(await second.exited, second.output).toBe(0);
  expect(second.output).toMatch(/has moved\. 2 tables compared, 0 different; 1 sequences set/);
  await expectEqual();
  expect(await second.leaves()).toEqual([]);
});

test("migrate --set createDatabase=true makes the target database, whatever is in its name", async () => {
  const name = `${pair.target.name} "é;='`;
  const to = `postgres://postgres@127.0.0.1:${pair.target.port}/${encodeURIComponent(name)}?sslmode=disable`;
  const command = migrate(["--target", to, "--set", "createDatabase=True", "--cutover", "when-ready"]);
  expect(await command.exited, command.output).toBe(0);
  expect(command.output).toMatch(/Target .*the database will be made/);
  expect(command.output).toMatch(/has moved\. 2 tables compared, 0 different/);
  await pair.target.query(`DROP DATABASE "${name.replaceAll('"', '""')}"`);
});

test("migrate --cancel gives a paused migration up and leaves nothing on either side", async () => {
  const first = migrate();
  await first.says(isFollowing);
  first.kill("SIGTERM");
  expect(await first.exited).toBe(143);
  expect(await leftOnSource(pair.source)).not.toEqual([]);

  const second = migrate(["--cancel"], first.folder);
  expect(await second.exited, second.output).toBe(0);
  expect([await leftOnSource(pair.source), await leftOnTarget(pair.target)]).toEqual([[], []]);
});

test("migrate --schema-only-existing refuses a target without the tables, by code and remedy", async () => {
  const command = migrate(["--schema-only-existing"]);
  expect(await command.exited).toBe(1);
  expect(command.output).toMatch(/error PG1108: .*public\.notes/);
  expect(command.output).toMatch(/remedy: .*migrateSchema/);
  expect(await leftOnSource(pair.source)).toEqual([]);
});

test("a fence that is none is a mistake of the arguments", async () => {
  const command = migrate(["--fence", "readable"]);
  expect(await command.exited).toBe(2);
  expect(command.output).toContain('--fence: "readable" is not allowed. Give "none", "readOnly".');
});

test("a setting that is none is refused before anything is touched", async () => {
  const command = migrate(["--set", "fullLoadStream=8"]);
  expect(await command.exited).toBe(1);
  expect(command.output).toMatch(/error InvalidRequest: .*fullLoadStream/);
  expect(await leftOnSource(pair.source)).toEqual([]);
});

const mistakes = [
  ["an argument that is none", ["--sourc", "x"], /Unknown option '--sourc'/],
  [
    "another word for the cutover",
    ["--source", "postgres://u@h/d", "--target", "postgres://u@h/d", "--cutover", "now"],
    /--cutover must be "when-ready"/,
  ],
] as const;

test.each(mistakes)("%s is a mistake in the arguments: exit code 2, and nothing is started", async (_title, args, pattern) => {
  const command = new Command("migrate", args);
  commands.push(command);
  expect(await command.exited).toBe(2);
  expect(command.output).toMatch(pattern);
});
