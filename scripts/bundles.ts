import { type BundleKind } from "./bundle.ts";

/** One file that is built, and from what. */
export interface Bundle {
  readonly entry: string;
  readonly outfile: string;
  readonly kind: BundleKind;
}

/** What is built for the two deployables. */
export const deployables: readonly Bundle[] = [
  { entry: "functions/index.ts", outfile: "dist/functions/index.cjs", kind: "functions" },
  // Telemetry is off by default: what it needs lies beside the bundles and is read only when it is on.
  { entry: "contracts/telemetry-sdk.ts", outfile: "dist/functions/telemetry-sdk.cjs", kind: "functions" },
  { entry: "contracts/telemetry-sdk.ts", outfile: "dist/worker/telemetry-sdk.js", kind: "worker" },
  { entry: "worker/main.ts", outfile: "dist/worker/main.js", kind: "worker" },
  { entry: "worker/database-thread.ts", outfile: "dist/worker/database-thread.js", kind: "worker" },
];

/** What stands for Azure on one machine: it starts in a fraction of the time, and loads the deployable with no compiler in between. */
export const localParts: readonly Bundle[] = [
  { entry: "local/functions-host/main.ts", outfile: "dist/local/functions-host.js", kind: "local" },
  { entry: "local/broker/main.ts", outfile: "dist/local/broker.js", kind: "local" },
  { entry: "node_modules/azurite/dist/src/table/main.js", outfile: "dist/local/table-storage.js", kind: "local" },
  { entry: "functions/store/store.ts", outfile: "dist/local/store.cjs", kind: "functions" },
];
