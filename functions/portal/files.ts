import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";

/** A file of the built page, in the best form that the caller takes. */
export interface PageFile {
  readonly content: Buffer;
  readonly type: string;
  readonly encoding: "br" | "gzip" | undefined;
}

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".json": "application/json; charset=utf-8",
};

/** Names that the build gives its files; anything else (a folder up, a hidden file) is not asked of the disk. */
const ownName = /^(assets\/)?[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/**
 * Reads files of the folder that the portal was built into, each at most once: the build does not change under a
 * running app.
 */
export function openPageFiles(folder: string) {
  const known = new Map<string, Promise<Buffer | undefined>>();
  const read = (name: string): Promise<Buffer | undefined> => {
    const found = known.get(name) ?? readFile(join(folder, name)).catch(absent);
    known.set(name, found);
    return found;
  };
  return async (name: string, acceptEncoding: string): Promise<PageFile | undefined> => {
    const type = types[extname(name)];
    if (type === undefined || !ownName.test(name)) return undefined;
    for (const { encoding, suffix } of encodings) {
      if (!accepts(acceptEncoding, encoding)) continue;
      const content = await read(`${name}${suffix}`);
      if (content) return { content, type, encoding };
    }
    const content = await read(name);
    return content && { content, type, encoding: undefined };
  };
}

const encodings = [
  { encoding: "br", suffix: ".br" },
  { encoding: "gzip", suffix: ".gz" },
] as const;

const accepts = (acceptEncoding: string, encoding: string): boolean =>
  acceptEncoding.split(",").some((part) => part.trim().split(";")[0] === encoding && !/;\s*q=0(\.0*)?\s*$/.test(part));

function absent(error: unknown): undefined {
  if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return undefined;
  throw error;
}
