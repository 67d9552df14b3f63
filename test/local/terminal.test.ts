import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { PhaseLog } from "../../local/demo/phases.ts";
import { decide } from "../../local/environment/service-watch.ts";
import { bar, bytes, count, percent, seconds, Terminal } from "../../local/terminal.ts";
import { findingLines, phaseOf } from "../../local/watch.ts";

describe("figures for people", () => {
  test.each([
    [0, "░".repeat(8)],
    [0.5, "████░░░░"],
    [0.52, "████▏░░░"],
    [1, "█".repeat(8)],
    [7, "█".repeat(8)],
  ])("a bar of %d is %s", (fraction, drawn) => {
    expect(bar(fraction, 8)).toBe(drawn);
  });

  test("never say that all is done before it is", () => {
    expect([percent(0.999), percent(1)]).toEqual([" 99 %", "100 %"]);
  });

  test("carry their unit", () => {
    expect([bytes(0), bytes(999), bytes(1500), bytes(107_300_000)]).toEqual(["0 B", "999 B", "1.5 kB", "107 MB"]);
    expect([seconds(1234), seconds(59_999), seconds(95_000)]).toEqual(["1.2 s", "60.0 s", "1 min 35 s"]);
    expect(count(1_017_040)).toBe("1,017,040");
  });
});

/** A stream that remembers, as wide as asked. */
function screen(isTTY: boolean, columns: number): NodeJS.WriteStream & { text: string } {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      Object.assign(stream, { text: (stream as unknown as { text: string }).text + chunk.toString() });
      done();
    },
  });
  return Object.assign(stream, { isTTY, columns, text: "" }) as unknown as NodeJS.WriteStream & { text: string };
}

describe("a terminal", () => {
  test("that cannot be redrawn gets whole lines without colours", () => {
    const out = screen(false, 80);
    const step = new Terminal(out, {}).step("16", "Full load");
    step.show("10 %");
    step.done("all rows");
    expect(out.text).toMatch(/^✔ {3}16 {2}Full load +0\.0 s {2}all rows\n$/);
  });

  test("that is narrow gets lines that fit, since a wrapped one could not be taken back", () => {
    const out = screen(true, 60);
    const terminal = new Terminal(out, { TERM: "xterm" });
    terminal.step("16", "Full load").show("x".repeat(200));
    terminal.step("16", "next").done("");
    // eslint-disable-next-line no-control-regex -- colours and movements begin with the escape character
    const drawn = out.text.replace(/\x1b\[[0-9;]*[A-Za-z]|\r/g, "").split("\n");
    expect(Math.max(...drawn.map((line) => line.length))).toBeLessThan(60);
  });
});

describe("the phase of a migration", () => {
  const task = (state: string) => ({ properties: { state } }) as unknown as Parameters<typeof phaseOf>[0];
  const database = (migrationState: string, initializationCompleted = false) =>
    ({ migrationState, initializationCompleted }) as Parameters<typeof phaseOf>[1];
  test.each([
    ["Queued", undefined, "queued"],
    ["Running", database("CONFIGURING"), "checks"],
    ["Running", database("INITIALIAZING"), "preparation"],
    ["Running", database("RUNNING"), "full load"],
    ["Running", database("RUNNING", true), "catching up"],
    ["Running", database("READY_TO_COMPLETE", true), "sync"],
    ["Running", database("COMPLETING", true), "cutover"],
    ["Running", database("FAILED"), "ending"],
    ["Succeeded", database("COMPLETE", true), "over"],
    ["FailedInputValidation", undefined, "over"],
  ] as const)("%s with %o is %s", (state, seen, phase) => {
    expect(phaseOf(task(state), seen)).toBe(phase);
  });

  test("is recorded with its time and with what the writer changed meanwhile", () => {
    let nowMs = 0;
    let updates = 0;
    const log = new PhaseLog(
      () => nowMs,
      () => ({ transactions: 0, inserts: 0, updates, deletes: 0, retried: 0 }),
    );
    log.enter("checks");
    [nowMs, updates] = [1000, 5];
    log.enter("checks");
    log.enter("full load");
    [nowMs, updates] = [4000, 105];
    log.close();
    expect(log.records).toEqual([
      { name: "checks", durationMs: 1000, writerRows: 5 },
      { name: "full load", durationMs: 3000, writerRows: 100 },
    ]);
  });
});

test("many findings of one kind are told with their number, others in full", () => {
  const missing = Array.from({ length: 5 }, (_, n) => ({
    code: "PG1108",
    severity: "error" as const,
    message: `table ${n}`,
    remedy: "make it",
  }));
  const lines = findingLines([...missing, { code: "PG1150", severity: "warning", message: "near its end" }]);
  expect(lines).toEqual([
    ...[0, 1, 2].flatMap((n) => [`error PG1108: table ${n}`, "  remedy: make it"]),
    "  and 2 more of PG1108; the page and the API have them all",
    "warning PG1150: near its end",
  ]);
});

describe("who gets workers", () => {
  test.each([
    [["dms-local", "a"], ["dms-local"], { serve: ["a"], leave: [], refuse: [] }],
    [["dms-local"], ["dms-local", "a"], { serve: [], leave: ["a"], refuse: [] }],
    [["s0", "s1", "s2", "s3", "s4", "s5", "s6"], ["s0", "s1", "s2", "s3"], { serve: ["s4"], leave: [], refuse: ["s5", "s6"] }],
  ])("%j wanted, %j served", (wanted, served, decision) => {
    expect(decide(new Set(wanted), new Set(served))).toEqual(decision);
  });
});
