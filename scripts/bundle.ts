import { build, type BuildOptions } from "esbuild";

/** CommonJS for the Functions runtime, ES modules for the worker and for what runs here only. */
export type BundleKind = "functions" | "worker" | "local";

/**
 * CommonJS packages inside an ES module bundle still call `require` for Node's own modules, and esbuild gives them none.
 * Names nobody else declares: a banner is pasted in front of the finished bundle.
 */
const requireForBundledPackages = `import { createRequire as pgdmsCreateRequire } from "node:module";
const require = pgdmsCreateRequire(import.meta.url);
const __filename = import.meta.filename;
const __dirname = import.meta.dirname;`;

const kinds: Record<BundleKind, BuildOptions> = {
  // The runtime answers this one name itself: no package has it.
  functions: { format: "cjs", external: ["@azure/functions-core"] },
  worker: {
    format: "esm",
    banner: { js: requireForBundledPackages },
    // Optional natives that pg and ws look for, and the WebAssembly pg_dump, which reads files beside itself.
    external: ["pg-native", "bufferutil", "utf-8-validate", "@electric-sql/pglite-tools"],
  },
  // Packages too: finding and reading the hundreds of files of some takes longer than all else at a start.
  local: { format: "esm", banner: { js: requireForBundledPackages }, mainFields: ["module", "main"] },
};

/** Bundles one entry with all that it imports into one file for Node 20, with a source map. Answers the size in bytes. */
export async function bundle(entry: string, outfile: string, kind: BundleKind): Promise<number> {
  const { metafile } = await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    sourcemap: true,
    // Stacks name our files and lines by the map; the text of all sources would lie in the memory of every thread.
    sourcesContent: false,
    // Each thread keeps the bundle's own text, at two bytes a character if one of them is no Latin letter: comments have such.
    minifyWhitespace: true,
    logLevel: "warning",
    ...kinds[kind],
    metafile: true,
  });
  const sizes = Object.entries(metafile.outputs).filter(([file]) => !file.endsWith(".map"));
  return sizes.reduce((sum, [, { bytes }]) => sum + bytes, 0);
}
