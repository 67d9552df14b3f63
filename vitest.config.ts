import { defineConfig } from "vitest/config";
import EvenLoad from "./test/setup/even-load.ts";
import { keepTemporaryFilesInMemory } from "./test/setup/temporary-folder.ts";

keepTemporaryFilesInMemory(process.env);

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    // Files share the modules of their process: reading the same ones anew for each would take an eighth of the whole run.
    isolate: false,
    // pg_dump in WebAssembly runs for a moment: making it fast takes four times as long as running it does.
    execArgv: ["--liftoff-only"],
    // More than two cores have: much of the time a test waits for processes that it started.
    maxWorkers: 5,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // A state is waited for; how soon it comes is no matter of a test.
    expect: { poll: { timeout: 60_000 } },
    // A test that fails now and then is a bug of the product or of the test; trying again would hide it.
    retry: 0,
    reporters: ["default", "./test/setup/count-reporter.ts"],
    globalSetup: ["test/setup/servers.ts"],
    sequence: { sequencer: EvenLoad },
  },
});
