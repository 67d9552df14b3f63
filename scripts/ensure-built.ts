import { dirname } from "node:path";
import { ensureBuilt } from "../local/environment/built.ts";

// Builds what is not there or older than its sources, before the tests: they start what is deployed.

await ensureBuilt(dirname(import.meta.dirname), new AbortController().signal);
