import { describe, expect, test } from "vitest";
import { createPairFrom } from "../setup/databases.ts";
import { casesOf } from "../setup/thorough.ts";
import { runHistories } from "./histories.ts";

/** Histories on each schema: with those of a thorough run more than 500 in all. */
const HISTORIES = 50;

/** Each makes a schema and its histories. Fixed, so that a red build is red again; `npm run soak` runs on with others. */
const seeds = casesOf([20261122, 20261123], [20261124, 20261125, 20261126]);

describe.each(["pgoutput", "test_decoding"] as const)("random histories on random schemas by %s", (plugin) => {
  test.each(seeds)(
    "nothing is lost and nothing is changed, seed %i",
    async (seed) => {
      await expect(runHistories({ seed, plugin, histories: HISTORIES, createPair: createPairFrom })).resolves.toBeUndefined();
    },
    300_000,
  );
});

describe("random histories whose changes are sent before their transactions end", () => {
  test.each(casesOf([20261128], [20261130, 20261132]))(
    "nothing is lost and nothing is changed, seed %i",
    async (seed) => {
      const run = { seed, plugin: "pgoutput", isStreamed: true, histories: HISTORIES, createPair: createPairFrom } as const;
      await expect(runHistories(run)).resolves.toBeUndefined();
    },
    300_000,
  );
});

describe("random histories that are applied in several sessions at once", () => {
  test.each(casesOf([20261129], [20261134, 20261135]))(
    "nothing is lost and nothing is changed, seed %i",
    async (seed) => {
      const run = { seed, plugin: "pgoutput", hasLanes: true, histories: HISTORIES, createPair: createPairFrom } as const;
      await expect(runHistories(run)).resolves.toBeUndefined();
    },
    300_000,
  );
});
