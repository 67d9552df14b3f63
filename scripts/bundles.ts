import { type BundleKind } from "./bundle.ts";

/** What is built for the two deployables, and from what. */
export const bundles: readonly { entry: string; outfile: string; kind: BundleKind }[] = [
  { entry: "functions/index.ts", outfile: "dist/functions/index.cjs", kind: "functions" },
  // Telemetry is off by default: what it needs lies beside the bundles and is read only when it is on.
  { entry: "contracts/telemetry-sdk.ts", outfile: "dist/functions/telemetry-sdk.cjs", kind: "functions" },
  { entry: "contracts/telemetry-sdk.ts", outfile: "dist/worker/telemetry-sdk.js", kind: "worker" },
  { entry: "worker/main.ts", outfile: "dist/worker/main.js", kind: "worker" },
  { entry: "worker/database-thread.ts", outfile: "dist/worker/database-thread.js", kind: "worker" },
];
