import { isPlatformExtension } from "../schema/dump-text.ts";
import { listed, type End, type FindingDraft, type MigrationContext, type PairCheck } from "./check.ts";

interface Extension {
  readonly name: string;
  readonly version: string;
  /** It has tables of its own whose rows a dump would carry (extconfig). */
  readonly hasRows: boolean;
}

/** What the target could install. */
interface AvailableExtension {
  readonly name: string;
  readonly version: string;
  readonly isInstalled: boolean;
}

const extensions: PairCheck = {
  kind: "ExtensionMissing",
  scope: "both",
  alsoFinds: ["ExtensionRisk"],
  async run(context) {
    const used = (await readExtensions(context.source)).filter(({ name }) => name !== "plpgsql" && !isPlatformExtension(name));
    if (used.length === 0) return [];
    const available = await readAvailable(context.target);
    return judgeExtensions(used, available, await readAllowed(context.target), context);
  },
};

/** Azure's list of extensions that may be created; undefined elsewhere. */
async function readAllowed({ client }: End): Promise<string | undefined> {
  const { rows } = await client.query<{ allowed: string | null }>("SELECT current_setting('azure.extensions', true) AS allowed");
  return rows[0]?.allowed ?? undefined;
}

async function readExtensions({ client }: End): Promise<Extension[]> {
  const { rows } = await client.query<{ name: string; version: string; has_rows: boolean }>(
    "SELECT extname::text AS name, extversion AS version, extconfig IS NOT NULL AS has_rows FROM pg_extension ORDER BY extname",
  );
  return rows.map(({ name, version, has_rows }) => ({ name, version, hasRows: has_rows }));
}

async function readAvailable({ client }: End): Promise<AvailableExtension[]> {
  const { rows } = await client.query<{ name: string; version: string; is_installed: boolean }>(
    `SELECT name::text, coalesce(installed_version, default_version)::text AS version, installed_version IS NOT NULL AS is_installed
       FROM pg_available_extensions`,
  );
  return rows.map(({ name, version, is_installed }) => ({ name, version, isInstalled: is_installed }));
}

/** Their tables are spread over internal ones that are the extension's: nothing of them would be migrated. */
const UNFOLLOWABLE = new Set(["timescaledb", "citus"]);

/** Pure. */
function judgeExtensions(
  used: readonly Extension[],
  available: readonly AvailableExtension[],
  allowed: string | undefined,
  { schemaIsOurs }: Pick<MigrationContext, "schemaIsOurs">,
): FindingDraft[] {
  const known = new Map(available.map((extension) => [extension.name, extension]));
  const isInstalled = (name: string): boolean => known.get(name)?.isInstalled ?? false;
  const canBeHad = (name: string): boolean => isInstalled(name) || (known.has(name) && isAllowed(name, allowed));
  const missing = schemaIsOurs ? used.filter(({ name }) => !canBeHad(name)).map(({ name }) => name) : [];
  const risks = [
    ...(schemaIsOurs ? [] : used.filter(({ name }) => !isInstalled(name)).map(({ name }) => `${name} is not installed on the target`)),
    ...used.filter(({ name, version }) => isOlder(known.get(name)?.version, version)).map((extension) => sayOlder(extension, known)),
    ...used.filter(({ name }) => UNFOLLOWABLE.has(name)).map(({ name }) => `tables of ${name} cannot be followed`),
    ...used.filter(({ hasRows }) => hasRows).map(({ name }) => `rows that users put into tables of ${name} are not copied`),
  ];
  return [
    ...(missing.length > 0 ? [{ detail: `${listed(missing)}.` }] : []),
    ...(risks.length > 0 ? [{ kind: "ExtensionRisk" as const, detail: `${risks.join("; ")}.` }] : []),
  ];
}

const isAllowed = (name: string, allowed: string | undefined): boolean =>
  allowed === undefined ||
  allowed
    .toLowerCase()
    .split(",")
    .map((item) => item.trim())
    .includes(name);

const sayOlder = ({ name, version }: Extension, known: ReadonlyMap<string, AvailableExtension>): string =>
  `${name} is ${version} on the source and ${known.get(name)?.version ?? ""} on the target`;

/** Whether the first version comes before the second, number by number: "1.6" before "1.10". */
export function isOlder(version: string | undefined, than: string): boolean {
  if (version === undefined) return false;
  const [a, b] = [version, than].map((text) => (text.match(/\d+/g) ?? []).map(Number)) as [number[], number[]];
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

export const extensionChecks: readonly PairCheck[] = [extensions];
