import { defineConfig } from "vitest/config";
import { type InlineConfig } from "vitest/node";
import LongestFirst from "./test/setup/longest-first.ts";
import { keepTemporaryFilesInMemory } from "./test/setup/temporary-folder.ts";

keepTemporaryFilesInMemory(process.env);

/** Halves of the product, tested in the process of the test. The other tests start programs, end them in every way, and measure. */
const inProcess = ["test/{contracts,docs,fidelity,functions,infra,worker}/**/*.test.ts"];

const common = {
  pool: "forks",
  // pg_dump in WebAssembly runs for a moment: making it fast takes four times as long as running it does.
  execArgv: ["--liftoff-only"],
  // More than two cores have: much of the time a test waits for processes that it started.
  maxWorkers: 3,
  testTimeout: 180_000,
  hookTimeout: 180_000,
  // A state is waited for; how soon it comes is no matter of a test.
  expect: { poll: { timeout: 60_000 } },
  // A test that fails now and then is a bug of the product or of the test; trying again would hide it.
  retry: 0,
} satisfies InlineConfig;

export default defineConfig({
  test: {
    ...common,
    reporters: ["default", "./test/setup/count-reporter.ts"],
    globalSetup: ["test/setup/servers.ts"],
    sequence: { sequencer: LongestFirst },
    projects: [
      // Reading the same modules anew for each of these files takes a tenth of the whole run.
      { test: { ...common, name: "in-process", include: inProcess, isolate: false } },
      { test: { ...common, name: "programs", include: ["test/**/*.test.ts"], exclude: inProcess } },
    ],
  },
});
