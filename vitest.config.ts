import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    reporters: ["default", "./test/setup/count-reporter.ts"],
    globalSetup: ["test/setup/servers.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // A test that fails now and then is a bug of the product or of the test; trying again would hide it.
    retry: 0,
  },
});
