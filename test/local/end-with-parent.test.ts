import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { spawnGuarded } from "../../local/end-with-parent.ts";

const FOR_EVER = ["-e", "setInterval(() => undefined, 1_000_000)"];

/** Whether a process with the id has the mark among its arguments. Linux: read from /proc. */
function runs(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(mark);
  } catch {
    return false;
  }
}

test("a program ends when its starter is killed in the moment of its start", async () => {
  const mark = randomUUID();
  const starter = `
    import { writeSync } from "node:fs";
    import { spawnGuarded } from ${JSON.stringify(join(import.meta.dirname, "../../local/end-with-parent.ts"))};
    writeSync(1, String(spawnGuarded(process.execPath, ${JSON.stringify([...FOR_EVER, mark])}, {}).pid));
    process.kill(process.pid, "SIGKILL");`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", starter], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let pid = "";
  child.stdout.on("data", (text: Buffer) => (pid += text.toString()));
  expect(await once(child, "close")).toEqual([null, "SIGKILL"]);
  expect(Number(pid)).toBeGreaterThan(1);
  await expect.poll(() => runs(Number(pid), mark)).toBe(false);
});

test("a program that ends by itself is followed by its guard, and one that is stopped as well", async () => {
  const mark = randomUUID();
  const own = spawnGuarded(process.execPath, ["-e", "process.exitCode = 3", mark], {});
  // "close" comes when the guard has let go of its pipe, too.
  expect(await once(own, "close")).toEqual([3, null]);
  const stopped = spawnGuarded(process.execPath, [...FOR_EVER, mark], {});
  await expect.poll(() => runs(stopped.pid ?? 0, mark)).toBe(true);
  stopped.kill("SIGTERM");
  expect(await once(stopped, "close")).toEqual([null, "SIGTERM"]);
});
