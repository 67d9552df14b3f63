import { vi } from "vitest";

/** What has not come by then will not come, however busy the machine is. `vi.waitFor` alone gives up after a second. */
const LIMIT_MS = 60_000;

/** Tries until nothing is thrown. @throws what was thrown last, after the limit */
export const eventually = <T>(work: () => T | Promise<T>): Promise<T> => vi.waitFor(work, { timeout: LIMIT_MS, interval: 20 });
