import { dirname, join } from "node:path";
import { buildPortal } from "./portal-bundle.ts";

// Builds the portal page that functions/portal.ts serves: `npm run build:portal`.

const folder = join(dirname(import.meta.dirname), "dist/portal");
const { firstLoadBytes, allBytes } = await buildPortal(folder);
console.log(`dist/portal  first load ${(firstLoadBytes / 1024).toFixed(0)} KiB, all ${(allBytes / 1024).toFixed(0)} KiB (brotli)`);
