import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, extname, join } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import react from "@vitejs/plugin-react";
import { build } from "vite";

const root = join(dirname(import.meta.dirname), "portal");
const compressible = new Set([".html", ".js", ".css", ".svg"]);
const compressBrotli = promisify(brotliCompress);
const compressGzip = promisify(gzip);

/** Sizes of what was built, in bytes: what the browser fetches before it shows the first screen, and everything. */
export interface PortalSizes {
  readonly firstLoadBytes: number;
  readonly allBytes: number;
}

/**
 * Builds the portal page into `folder` (emptied first), every file also compressed (`.br`, `.gz`): the Functions
 * runtime does not compress answers by itself. Addresses inside are relative, so that it works below any prefix.
 */
export async function buildPortal(folder: string): Promise<PortalSizes> {
  await build({
    root,
    base: "./",
    configFile: false,
    logLevel: "warn",
    plugins: [react()],
    build: {
      outDir: folder,
      emptyOutDir: true,
      target: "es2022",
      assetsInlineLimit: 0, // no data: addresses, so that the content security policy needs none
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 900,
      reportCompressedSize: false,
    },
  });
  const compressedBytes = await compressAll(folder);
  const html = await readFile(join(folder, "index.html"), "utf8");
  const first = [...html.matchAll(/(?:src|href)="\.\/([^"]+)"/g)].map((match) => match[1] ?? "");
  const sizes = ["index.html", ...new Set(first)].map((file) => compressedBytes.get(file) ?? 0);
  return { firstLoadBytes: sum(sizes), allBytes: sum([...compressedBytes.values()]) };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

/** Writes the compressed twins; answers each file's brotli size, by its path inside the folder. */
async function compressAll(folder: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const file of await readdir(folder, { recursive: true })) {
    if (!compressible.has(extname(file))) continue;
    const path = join(folder, file);
    const content = await readFile(path);
    const brotli = await compressBrotli(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
    // The page itself gets a nonce in each answer, so it cannot be sent as it lies there.
    if (file !== "index.html") {
      await writeFile(`${path}.br`, brotli);
      await writeFile(`${path}.gz`, await compressGzip(content, { level: 9 }));
    }
    sizes.set(file, brotli.length);
  }
  return sizes;
}
