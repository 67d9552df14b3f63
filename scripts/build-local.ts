import { buildBundles } from "./build-bundles.ts";
import { localParts } from "./bundles.ts";

// Builds what stands for Azure on one machine; whoever starts it has it built when it is missing or old (local/environment/built.ts).

await buildBundles(localParts);
