import { describe, expect, test } from "vitest";
import { createPairFrom } from "../setup/databases.ts";
import { runHistories } from "./histories.ts";

/** Schemas for each plugin, and histories on each of them: 500 in all. */
const SCHEMAS = 5;
const HISTORIES = 50;

/** A fixed seed, so that a red build is red again; `npm run soak` runs on with others. */
const SEED = 20261122;

describe.each(["pgoutput", "test_decoding"] as const)("random histories on random schemas by %s", (plugin) => {
  test.each(Array.from({ length: SCHEMAS }, (_, n) => SEED + n))(
    "nothing is lost and nothing is changed, seed %i",
    async (seed) => {
      await expect(runHistories({ seed, plugin, histories: HISTORIES, createPair: createPairFrom })).resolves.toBeUndefined();
    },
    300_000,
  );
});
