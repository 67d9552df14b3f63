import { PassThrough } from "node:stream";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { connect } from "../../../worker/postgres/connect.ts";
import { ConnectionLost, isTransient } from "../../../worker/postgres/failures.ts";
import { pipeCopy } from "../../../worker/postgres/pipe-copy.ts";
import { groupSteps, takeOver, type RawSession, type Step } from "../../../worker/postgres/raw-session.ts";
import { type Server, type Side } from "../../../worker/postgres/server.ts";
import { MessageReader } from "../../../worker/postgres/wire/message-reader.ts";

let postgres: PostgresServer;
const sessions: RawSession[] = [];

beforeAll(async () => {
  postgres = await startPostgres({ version: "17" });
});
afterEach(() => {
  for (const session of sessions.splice(0)) session.destroy();
});
afterAll(() => postgres.stop());

const server = (side: Side): Server => ({
  side,
  connection: {
    serverName: postgres.host,
    port: postgres.port,
    databaseName: "postgres",
    userName: postgres.user,
    credential: { kind: "none" },
    encryptConnection: false,
    trustServerCertificate: false,
  },
  password: () => Promise.resolve(undefined),
});

async function open(side: Side = "target", signal?: AbortSignal): Promise<RawSession> {
  const session = takeOver(await connect(server(side), { purpose: "test" }), side, signal);
  sessions.push(session);
  return session;
}

async function textOf(session: RawSession, sql: string): Promise<(string | null)[][]> {
  const results = await session.query(sql);
  return (results.at(-1)?.rows ?? []).map((row) => row.map((value) => value?.toString("utf8") ?? null));
}

const bytes = (text: string): Buffer => Buffer.from(text, "utf8");

describe("one statement after the other", () => {
  test("values come as the server wrote them, NULL and the empty text apart", async () => {
    const session = await open();
    expect(await textOf(session, "SELECT 9007199254740993::int8, NULL, '', E'a\\tb', '-infinity'::timestamptz")).toEqual([
      ["9007199254740993", null, "", "a\tb", "-infinity"],
    ]);
  });

  test("several statements in one text each have their result", async () => {
    const session = await open();
    const results = await session.query("CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2), (3); DELETE FROM t WHERE a > 1");
    expect(results.map(({ tag, rowCount }) => [tag, rowCount])).toEqual([
      ["CREATE TABLE", 0],
      ["INSERT 0 3", 3],
      ["DELETE 2", 2],
    ]);
  });

  test("an error carries what the server says of it, and the session goes on", async () => {
    const session = await open();
    await session.query("CREATE TEMP TABLE t (a int CONSTRAINT t_is_unique UNIQUE)");
    await expect(session.query("INSERT INTO t VALUES (1), (1)")).rejects.toMatchObject({
      code: "23505",
      constraint: "t_is_unique",
      table: "t",
      severity: "ERROR",
      detail: "Key (a)=(1) already exists.",
    });
    expect(await textOf(session, "SELECT 1")).toEqual([["1"]]);
  });

  test("notices and changed parameters are passed over", async () => {
    const session = await open();
    await session.query("SET application_name = 'another'; DO $$ BEGIN RAISE NOTICE 'hello'; END $$");
    expect(await textOf(session, "SHOW application_name")).toEqual([["another"]]);
  });

  test("overlapping callers get their own answers", async () => {
    const session = await open();
    const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => textOf(session, `SELECT ${i}`)));
    expect(answers.map((rows) => rows[0]?.[0])).toEqual(Array.from({ length: 50 }, (_, i) => String(i)));
  });
});

describe("pipelines", () => {
  const insert = (a: string, b: string | null): Step => ({
    prepared: "ins",
    parse: { sql: "INSERT INTO p VALUES ($1, $2)", paramOids: [20, 25] },
    values: [bytes(a), b === null ? null : bytes(b)],
  });

  test("plain statements, COPY data and prepared statements go in one write and are answered in order", async () => {
    const session = await open();
    const results = await session.pipeline([
      { sql: "BEGIN" },
      { sql: "CREATE TEMP TABLE p (a int8, b text)" },
      { sql: "COPY p FROM STDIN", copyData: [bytes("1\tone\n2\t"), bytes("two\n")] },
      insert("3", ""),
      insert("4", null),
      { prepared: "upd", parse: { sql: "UPDATE p SET b = 'x' WHERE a > $1" }, values: [bytes("2")] },
      { sql: "COPY p FROM STDIN", copyData: [] },
      { sql: "SELECT count(*), count(b) FROM p" },
      { sql: "COMMIT" },
    ]);
    expect(results.map(({ error }) => error)).toEqual(results.map(() => undefined));
    expect(results.map(({ rowCount }) => rowCount)).toEqual([0, 0, 2, 1, 1, 2, 0, 1, 0]);
    expect(results[7]?.rows[0]?.map(String)).toEqual(["4", "4"]);
    expect(session.transactionStatus).toBe("I");
  });

  test("after an error nothing of the transaction runs, and every step says so", async () => {
    const session = await open();
    await session.query("CREATE TEMP TABLE p (a int8 PRIMARY KEY, b text)");
    const results = await session.pipeline([
      { sql: "BEGIN" },
      insert("1", "a"),
      insert("1", "b"),
      insert("2", "c"),
      { sql: "COPY p FROM STDIN", copyData: [bytes("7\tseven\n")] },
      { prepared: "never", parse: { sql: "DELETE FROM p" }, values: [] },
      { sql: "SELECT 1" },
      { sql: "COMMIT" },
    ]);
    expect(results.map(({ error, tag }) => error?.code ?? tag)).toEqual([
      "BEGIN",
      "INSERT 0 1",
      "23505",
      "25P02",
      "25P02",
      "25P02",
      "25P02",
      "ROLLBACK",
    ]);
    const again = await session.pipeline([insert("5", "x"), { prepared: "never", parse: { sql: "DELETE FROM p" }, values: [] }]);
    expect(again.map(({ rowCount, error }) => error ?? rowCount)).toEqual([1, 1]);
  });

  test("statements that were forgotten are gone from the server, and are given again when they are used again", async () => {
    const session = await open();
    await session.query("CREATE TEMP TABLE p (a int8, b text)");
    await session.pipeline([insert("1", "a")]);
    const statements = async (): Promise<string[]> =>
      (await session.query("SELECT name FROM pg_prepared_statements")).flatMap(({ rows }) => rows.map(([name]) => String(name)));
    expect(await statements()).toEqual(["ins"]);
    const forgotten = session.forgetStatements();
    const after = await session.pipeline([insert("2", "b"), insert("3", "c")]); // asked before the answer came
    await forgotten;
    expect(after.map(({ rowCount, error }) => error ?? rowCount)).toEqual([1, 1]);
    await session.forgetStatements();
    expect(await statements()).toEqual([]);
  });

  test("a COPY that cannot start, or breaks on a row, leaves the session in step", async () => {
    const session = await open();
    await session.query("CREATE TEMP TABLE p (a int8, b text)");
    const many = Array.from({ length: 200 }, (_, i) => bytes(`${i}\t${"x".repeat(10_000)}\n`));
    const results = await session.pipeline([
      { sql: "COPY nowhere FROM STDIN", copyData: many },
      { sql: "COPY p FROM STDIN", copyData: [...many.slice(0, 50), bytes("no number\tx\n"), ...many] },
      { sql: "COPY p FROM STDIN", copyData: many },
      insert("1", "after"),
    ]);
    expect(results.map(({ error, rowCount }) => error?.code ?? rowCount)).toEqual(["42P01", "22P02", 200, 1]);
  });

  test("a statement whose Parse was passed over after an error can be used later", async () => {
    const session = await open();
    await session.query("CREATE TEMP TABLE p (a int8, b text)");
    const bad: Step = { prepared: "bad", parse: { sql: "SELECT nothing FROM nowhere" }, values: [] };
    const [first, second, third] = await Promise.all([
      session.pipeline([bad, insert("1", "a")]),
      session.pipeline([insert("2", "b")]),
      session.pipeline([insert("3", "c")]),
    ]);
    expect(first.map(({ error }) => error?.code)).toEqual(["42P01", "25P02"]);
    expect([...second, ...third].map(({ error, rowCount }) => error ?? rowCount)).toEqual([1, 1]);
  });

  test("nothing stalls when both directions are full: far more answers and requests than the buffers hold", async () => {
    const session = await open();
    const big = bytes("x".repeat(50_000));
    const steps: Step[] = Array.from({ length: 1_000 }, () => ({
      prepared: "echo",
      parse: { sql: "SELECT $1::text || repeat('y', 50000)" },
      values: [big],
    }));
    const results = await session.pipeline(steps);
    expect(results.every(({ error, rows }) => error === undefined && rows[0]?.[0]?.length === 100_000)).toBe(true);
  });

  test("any mix of steps, good and bad, is answered as if each had been sent alone", async () => {
    const session = await open();
    const step = fc.oneof(
      fc.constant<Step>({ sql: "SELECT 1" }),
      fc.constant<Step>({ sql: "SELECT 1; SELECT 2" }),
      fc.constant<Step>({ sql: "" }),
      fc.constant<Step>({ sql: "SELECT broken" }),
      fc.constant<Step>({ sql: "BEGIN" }),
      fc.constant<Step>({ sql: "COMMIT" }),
      fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 5 }).map<Step>((rows) => ({
        sql: "COPY mix FROM STDIN",
        copyData: rows.map((row) => bytes(row === 3 ? "bad\n" : `${row}\n`)),
      })),
      fc.constant<Step>({ sql: "COPY nowhere FROM STDIN", copyData: [bytes("1\n")] }),
      fc.record({
        prepared: fc.constantFrom("mix1", "mix2"),
        parse: fc.constant({ sql: "INSERT INTO mix VALUES ($1)", paramOids: [23] }),
        values: fc.tuple(fc.constantFrom(bytes("1"), bytes("bad"), null)),
      }),
    );
    const outcome = ({ error, tag }: { error?: { code: string }; tag: string }): string => error?.code ?? tag;
    await session.query("CREATE TEMP TABLE mix (a int)");
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const together = (await session.pipeline(steps)).map(outcome);
        await session.query("ROLLBACK");
        const alone: string[] = [];
        for (const group of groupSteps(steps)) alone.push(...(await session.pipeline(group)).map(outcome));
        await session.query("ROLLBACK");
        expect(together).toEqual(alone);
      }),
      { numRuns: 60 },
    );
  });
});

describe("ends", () => {
  test("a backend that is terminated rejects everything pending as a lost connection, with the server's reason as the cause", async () => {
    const session = await open("source");
    const other = await open();
    const pid = (await textOf(session, "SELECT pg_backend_pid()"))[0]?.[0] ?? "";
    const pending = [session.query("SELECT pg_sleep(60)"), session.pipeline([{ sql: "SELECT 1" }])];
    const outcomes = Promise.allSettled(pending);
    // A backend that ends with a request unread resets the connection, and what is written after that fails before its reason is read.
    const running = `SELECT count(*) FROM pg_stat_activity WHERE pid = ${pid} AND wait_event = 'PgSleep'`;
    await expect.poll(() => textOf(other, running)).toEqual([["1"]]);
    await other.query(`SELECT pg_terminate_backend(${pid})`);
    for (const outcome of await outcomes) {
      const reason: unknown = outcome.status === "rejected" ? outcome.reason : undefined;
      expect(reason).toBeInstanceOf(ConnectionLost);
      expect(isTransient(reason)).toBe(true);
      expect((reason as ConnectionLost).cause).toMatchObject({ code: "57P01" });
    }
    expect(session.isUsable).toBe(false);
    await expect(session.query("SELECT 1")).rejects.toThrow(ConnectionLost);
  });

  test("an abort rejects with the signal's reason", async () => {
    const controller = new AbortController();
    const session = await open("source", controller.signal);
    const pending = session.query("SELECT pg_sleep(60)");
    controller.abort(new Error("cancelled by the user"));
    await expect(pending).rejects.toThrow("cancelled by the user");
    expect(session.isUsable).toBe(false);
  });

  test("an ended session is gone from the server", async () => {
    const session = await open();
    const other = await open();
    const pid = (await textOf(session, "SELECT pg_backend_pid()"))[0]?.[0] ?? "";
    await session.end();
    await expect.poll(() => textOf(other, `SELECT count(*) FROM pg_stat_activity WHERE pid = ${pid}`), { timeout: 5_000 }).toEqual([["0"]]);
    await session.end();
  });
});

describe("COPY in passing", () => {
  async function pair(): Promise<{ source: RawSession; target: RawSession }> {
    const target = await open("target");
    await target.query("DROP TABLE IF EXISTS public.copied; CREATE TABLE public.copied (a int8, b text)");
    return { source: await open("source"), target };
  }

  test.each(["text", "binary"])("rows arrive as they were (%s)", async (format) => {
    const { source, target } = await pair();
    const sourceSql = `COPY (SELECT i::int8, CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN '\\N' ELSE repeat(chr(9), i % 50) END
                         FROM generate_series(1, 20000) i) TO STDOUT (FORMAT ${format})`;
    let seen = 0;
    const done = await pipeCopy(
      { source, sourceSql, target, targetSql: `COPY public.copied FROM STDIN (FORMAT ${format})` },
      { onBytes: (count) => (seen += count) },
    );
    expect(done).toEqual({ rows: 20_000, bytes: seen });
    expect(await textOf(target, "SELECT count(*), count(b), sum(length(b)), sum(a) FROM public.copied")).toEqual(
      await textOf(
        source,
        `SELECT count(*), count(b), sum(length(b)), sum(i) FROM (SELECT i, CASE i % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN '\\N'
           ELSE repeat(chr(9), i % 50) END AS b FROM generate_series(1, 20000) i) s`,
      ),
    );
    expect([source.isUsable, target.isUsable]).toEqual([true, true]);
  });

  test("no rows at all is a copy too", async () => {
    const { source, target } = await pair();
    const copy = { source, sourceSql: "COPY (SELECT 1, 'x' LIMIT 0) TO STDOUT", target, targetSql: "COPY public.copied FROM STDIN" };
    expect(await pipeCopy(copy)).toEqual({ rows: 0, bytes: 0 });
  });

  test("values of 200 MB pass through in flat memory", async () => {
    const { source, target } = await pair();
    await target.query("ALTER TABLE public.copied ALTER b SET STORAGE EXTERNAL");
    const heldBytes = (): number => process.memoryUsage().external;
    const before = heldBytes();
    let pieces = 0;
    let peak = 0;
    const done = await pipeCopy(
      {
        source,
        sourceSql: "COPY (SELECT i, repeat('x', 200 * 1024 * 1024) FROM generate_series(1, 1) i) TO STDOUT",
        target,
        targetSql: "COPY public.copied FROM STDIN",
      },
      { onBytes: () => (peak = pieces++ % 50 === 0 ? Math.max(peak, heldBytes()) : peak) },
    );
    expect(done.bytes).toBeGreaterThan(200 * 1024 * 1024);
    expect(peak - before).toBeLessThan(64 * 1024 * 1024);
    expect(await textOf(target, "SELECT sum(octet_length(b)) FROM public.copied")).toEqual([[String(200 * 1024 * 1024)]]);
  }, 60_000);

  test("the source is held back while the throttle rests", async () => {
    const { source, target } = await pair();
    let resting = 0;
    let together = 0;
    const throttle = async (): Promise<void> => {
      together = Math.max(together, ++resting);
      await new Promise((resolve) => setTimeout(resolve, 1));
      resting--;
    };
    const sourceSql = "COPY (SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i) TO STDOUT";
    const done = await pipeCopy({ source, sourceSql, target, targetSql: "COPY public.copied FROM STDIN" }, { throttle });
    expect(done.rows).toBe(5_000);
    expect(together).toBeLessThanOrEqual(3);
  });

  test("an error of the source fails the target's COPY and leaves both sessions usable", async () => {
    const { source, target } = await pair();
    const sourceSql = "COPY (SELECT i, repeat('x', 1000 / (9000 - i)) FROM generate_series(1, 10000) i) TO STDOUT";
    await expect(pipeCopy({ source, sourceSql, target, targetSql: "COPY public.copied FROM STDIN" })).rejects.toMatchObject({
      code: "22012",
    });
    expect(await textOf(source, "SELECT 1")).toEqual([["1"]]);
    expect(await textOf(target, "SELECT count(*) FROM public.copied")).toEqual([["0"]]);
  });

  test("an error of the target on the way closes both: the source would send for ever", async () => {
    const { source, target } = await pair();
    await target.query("ALTER TABLE public.copied ADD CHECK (a <> 5000)");
    const sourceSql = "COPY (SELECT generate_series(1, 100000000), repeat('x', 1000)) TO STDOUT";
    await expect(pipeCopy({ source, sourceSql, target, targetSql: "COPY public.copied FROM STDIN" })).rejects.toMatchObject({
      code: "23514",
    });
    expect([source.isUsable, target.isUsable]).toEqual([false, false]);
    expect(await textOf(await open(), "SELECT count(*) FROM public.copied")).toEqual([["0"]]);
  });

  test("a target that refuses the COPY leaves both sessions usable", async () => {
    const { source, target } = await pair();
    const copy = { source, sourceSql: "COPY (SELECT 1) TO STDOUT", target, targetSql: "COPY nowhere FROM STDIN" };
    await expect(pipeCopy(copy)).rejects.toMatchObject({ code: "42P01" });
    expect([source.isUsable, target.isUsable]).toEqual([true, true]);
    expect(await textOf(source, "SELECT 1")).toEqual([["1"]]);
  });

  test.each(["source", "target"] as const)("a %s that dies on the way is a lost connection, and no row stays", async (side) => {
    const { source, target } = await pair();
    const other = await open();
    const victim = (await textOf(side === "source" ? source : target, "SELECT pg_backend_pid()"))[0]?.[0] ?? "";
    const sourceSql = "COPY (SELECT generate_series(1, 100000000), repeat('x', 100000)) TO STDOUT";
    let killed: Promise<unknown> | undefined;
    const copying = pipeCopy(
      { source, sourceSql, target, targetSql: "COPY public.copied FROM STDIN" },
      { onBytes: () => void (killed ??= other.query(`SELECT pg_terminate_backend(${victim})`)) },
    );
    await expect(copying).rejects.toMatchObject({ name: "ConnectionLost", message: `the connection to the ${side} ended` });
    await killed;
    expect(await textOf(other, "SELECT count(*) FROM public.copied")).toEqual([["0"]]);
    expect(source.isUsable).toBe(false);
  });

  test("an abort on the way closes both sessions and rejects with the reason", async () => {
    const { source, target } = await pair();
    const controller = new AbortController();
    const sourceSql = "COPY (SELECT generate_series(1, 100000000), repeat('x', 1000)) TO STDOUT";
    const copying = pipeCopy(
      { source, sourceSql, target, targetSql: "COPY public.copied FROM STDIN" },
      { signal: controller.signal, onBytes: () => controller.abort(new Error("stop")) },
    );
    await expect(copying).rejects.toThrow("stop");
    expect([source.isUsable, target.isUsable]).toEqual([false, false]);
  });
});

describe("cutting the stream into messages", () => {
  const message = (type: string, body: Buffer): Buffer => {
    const header = Buffer.alloc(5);
    header.write(type, 0, "latin1");
    header.writeUInt32BE(body.length + 4, 1);
    return Buffer.concat([header, body]);
  };

  test("however the network cuts it, the same messages and the same COPY bytes come out", () => {
    const messages = fc.array(
      fc.record({ type: fc.constantFrom("d", "d", "d", "C", "Z", "E"), body: fc.uint8Array({ maxLength: 40 }).map((b) => Buffer.from(b)) }),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(messages, fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 }), (list, cuts) => {
        const passed: Buffer[] = [];
        const whole: [string, Buffer][] = [];
        const inPlace: [string, Buffer][] = [];
        const reader = new MessageReader({
          onMessage: (type, body) => void whole.push([String.fromCharCode(type), Buffer.from(body)]),
          onCopyBytes: (piece) => void passed.push(Buffer.from(piece)),
        });
        reader.passesCopyData = true;
        const other = new MessageReader({
          onMessage: (type, body) => void inPlace.push([String.fromCharCode(type), Buffer.from(body)]),
          onCopyData: (bytes, start, end) => void inPlace.push(["d", Buffer.from(bytes.subarray(start, end))]),
          onCopyBytes: () => undefined,
        });
        const stream = Buffer.concat(list.map(({ type, body }) => message(type, body)));
        for (let at = 0, i = 0; at < stream.length; i++) {
          const cut = cuts[i % cuts.length] ?? 1;
          reader.feed(stream.subarray(at, at + cut));
          other.feed(stream.subarray(at, at + cut));
          at += cut;
        }
        const frames = list.filter(({ type }) => type === "d");
        expect(Buffer.concat(passed)).toEqual(Buffer.concat(frames.map(({ type, body }) => message(type, body))));
        expect(reader.takeFrames()).toBe(frames.length);
        expect(whole).toEqual(list.filter(({ type }) => type !== "d").map(({ type, body }) => [type, body]));
        expect(reader.isInsideFrame).toBe(false);
        expect(inPlace).toEqual(list.map(({ type, body }) => [type, body]));
      }),
    );
  });

  test("bytes that are no messages are refused", () => {
    const reader = new MessageReader({ onMessage: () => undefined, onCopyBytes: () => undefined });
    expect(() => reader.feed(Buffer.from([0x48, 0, 0, 0, 1]))).toThrow(RangeError);
  });

  test("a message larger than memory should hold is refused before it is gathered", () => {
    const reader = new MessageReader({ onMessage: () => undefined, onCopyBytes: () => undefined });
    expect(() => reader.feed(Buffer.from([0x44, 0x7f, 0xff, 0xff, 0xff]))).toThrow(/is the most/);
  });
});

test("a socket that closed before it was taken over is a lost connection", async () => {
  const { RawSession: Session } = await import("../../../worker/postgres/raw-session.ts");
  const socket = new PassThrough();
  socket.destroy();
  await expect(new Session(socket, "source").query("SELECT 1")).rejects.toThrow(ConnectionLost);
});
