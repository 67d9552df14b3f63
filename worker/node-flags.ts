/**
 * How Node runs a worker, in the image and on a developer's machine (flags of V8, which an environment variable may not set).
 * The change stream makes much garbage that dies young: rows until their group is applied, buffers of sockets. V8 counts buffers
 * like old objects, so that with its own defaults a drain spent a quarter of the worker's CPU on marking an old generation that
 * has nothing to give back; and its helper threads took the cores that the databases' threads and PostgreSQL want.
 */
export const workerNodeFlags = ["--min-semi-space-size=16", "--heap-growing-percent=100", "--single-threaded-gc"] as const;
