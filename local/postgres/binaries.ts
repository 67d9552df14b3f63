import { existsSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { z } from "zod";

export const postgresVersions = ["10", "13", "16", "17", "18"] as const;
export type PostgresVersion = (typeof postgresVersions)[number];

/** Where one version of PostgreSQL lies. `release` is the version of the npm package. */
export interface PostgresBinaries {
  readonly release: string;
  readonly nodeModules: string;
  readonly native: string;
  readonly initdb: string;
  readonly postgres: string;
}

const Symlinks = z.array(z.object({ source: z.string(), target: z.string() }));
const Manifest = z.object({ version: z.string() });

/**
 * Finds the embedded binaries of a version and makes them runnable.
 * Throws an error that names the package when this platform has none.
 */
export function findBinaries(version: PostgresVersion): PostgresBinaries {
  const alias = `pg${version}-${process.platform}-${process.arch}`;
  const packageFolder = findPackage(alias);
  if (!packageFolder) {
    throw new Error(
      `no embedded PostgreSQL ${version} for ${process.platform}-${process.arch}: the package "${alias}" is not installed. ` +
        `Run "npm ci" without --omit=optional; on a platform other than linux-x64 give the connection of a server of your own.`,
    );
  }
  hydrateSymlinks(packageFolder);
  const native = join(packageFolder, "native");
  if (Number(version) < 13) removeTrustedFlags(join(native, "share", "postgresql", "extension"));
  return {
    release: Manifest.parse(JSON.parse(readFileSync(join(packageFolder, "package.json"), "utf8"))).version,
    nodeModules: dirname(packageFolder),
    native,
    initdb: join(native, "bin", "initdb"),
    postgres: join(native, "bin", "postgres"),
  };
}

/** `require.resolve(alias + "/package.json")` fails where the package declares `exports`, so the folders are walked. */
function findPackage(alias: string): string | undefined {
  const folders = createRequire(import.meta.url).resolve.paths(alias) ?? [];
  return folders.map((folder) => join(folder, alias)).find((folder) => existsSync(join(folder, "native", "bin", "postgres")));
}

/** npm packages cannot hold symlinks. Their postinstall script recreates them, unless install scripts are off: so we do it as well. */
function hydrateSymlinks(packageFolder: string): void {
  const links = Symlinks.parse(JSON.parse(readFileSync(join(packageFolder, "native", "pg-symlinks.json"), "utf8")));
  for (const { source, target } of links) {
    const link = join(packageFolder, target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(packageFolder, source)), link);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error; // another process was faster
    }
  }
}

/**
 * The package of PostgreSQL 10 carries extension files of later versions. `trusted` (PostgreSQL 13) in any control file makes
 * `pg_available_extensions` fail as a whole.
 */
function removeTrustedFlags(extensionFolder: string): void {
  for (const name of readdirSync(extensionFolder).filter((file) => file.endsWith(".control"))) {
    const file = join(extensionFolder, name);
    const text = readFileSync(file, "utf8");
    const mended = text.replace(/^trusted\b.*\n?/gm, "");
    if (mended === text) continue;
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, mended);
    renameSync(draft, file); // another process may be reading it
  }
}
