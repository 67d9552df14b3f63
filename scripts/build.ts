import { buildBundles } from "./build-bundles.ts";
import { deployables } from "./bundles.ts";

// Builds what is deployed: `npm run build`.

await buildBundles(deployables);
