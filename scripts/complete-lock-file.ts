import { readFileSync, writeFileSync } from "node:fs";

/*
 * Completes package-lock.json: npm run lock.
 *
 * A registry that serves only some platforms' packages makes `npm install` leave the others out of the lock file, and `npm ci`
 * then refuses the file ("Missing: … from lock file"). The packages that are left out are always platform packages of an
 * exact version, which `npm ci` passes over on every other platform; their platform is in their name.
 */

interface LockedPackage {
  readonly version?: string;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly engines?: Readonly<Record<string, string>>;
  readonly license?: string;
  readonly dev?: boolean;
}

const SYSTEMS = ["android", "darwin", "freebsd", "linux", "openharmony", "openbsd", "netbsd", "sunos", "aix", "win32"];
const PROCESSORS = ["arm64", "x64", "ia32", "ppc64", "riscv64", "s390x", "loong64", "mips64el", "arm", "wasm32"];

const file = "package-lock.json";
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, LockedPackage> };
const { "": root, ...packages } = lock.packages;

/** Where a package that sits at `from` would find a dependency: its own folder, then those above it. */
function isLocked(from: string, name: string): boolean {
  for (let base = from; ; base = base.slice(0, Math.max(0, base.lastIndexOf("node_modules/"))).replace(/\/$/, "")) {
    if (packages[`${base === "" ? "" : `${base}/`}node_modules/${name}`]) return true;
    if (base === "") return false;
  }
}

function platformPackage(name: string, version: string, parent: LockedPackage): LockedPackage | undefined {
  const os = SYSTEMS.filter((system) => new RegExp(`(^|[-/])${system}($|-)`).test(name));
  const cpu = PROCESSORS.filter((processor) => new RegExp(`-${processor}($|-|gnu|musl|hf)`).test(name)).slice(0, 1);
  if (os.length !== 1 || cpu.length !== 1 || !/^\d/.test(version)) return undefined;
  const libc = os[0] !== "linux" ? undefined : name.includes("musl") ? ["musl"] : name.includes("gnu") ? ["glibc"] : undefined;
  const { dev, engines, license } = parent;
  return { version, cpu, ...(dev ? { dev } : {}), ...(libc ? { libc } : {}), license, optional: true, os, engines } as LockedPackage;
}

let added = 0;
for (const [path, parent] of Object.entries(packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    if (isLocked(path, name)) continue;
    const made = platformPackage(name, version, parent);
    if (!made) throw new Error(`${name}@${version}, an optional dependency of ${path}, is not locked and its name tells no platform`);
    packages[`node_modules/${name}`] = made;
    added++;
  }
}

const sorted = Object.fromEntries(Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify({ ...lock, packages: { "": root, ...sorted } }, undefined, 2)}\n`);
console.log(`${file}: ${added} platform packages added`);
