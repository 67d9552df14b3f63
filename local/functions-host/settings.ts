import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { z } from "zod";

/** App settings: what the platform puts into the environment of the process. */
export type AppSettings = Readonly<Record<string, string>>;

const LocalSettings = z.looseObject({
  IsEncrypted: z.literal(false).optional(),
  Values: z.record(z.string(), z.string()).default({}),
  Host: z.looseObject({ LocalHttpPort: z.int().min(0).max(65_535).optional() }).default({}),
});

/** Reads a file of the form of local.settings.json. Throws an error that names the file and each fault. */
export function readLocalSettings(file: string): { values: AppSettings; localHttpPort?: number } {
  const { Values, Host } = parseFile(file, LocalSettings);
  return { values: Values, localHttpPort: Host.LocalHttpPort };
}

/** The environment wins over the file. */
export function mergeSettings(values: AppSettings, environment: Readonly<Record<string, string | undefined>>): AppSettings {
  const set = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return { ...values, ...Object.fromEntries(set) };
}

/** Replaces each `%NAME%` by the app setting of that name. Throws when there is none. */
export function resolveSettings(text: string, settings: AppSettings): string {
  return text.replace(/%([^%]+)%/g, (_, name: string) => {
    const value = settings[name];
    if (value === undefined) throw new Error(`"${text}" needs the app setting "${name}", which is not set`);
    return value;
  });
}

/** `AzureWebJobs.<name>.Disabled`; on Linux a name cannot hold dots, there it is `AzureWebJobs_<name>_Disabled`. */
export function isDisabled(functionName: string, settings: AppSettings): boolean {
  const value = settings[`AzureWebJobs.${functionName}.Disabled`] ?? settings[`AzureWebJobs_${functionName}_Disabled`] ?? "";
  return /^(true|1)$/i.test(value);
}

const timeSpan = z
  .string()
  .regex(/^(\d+\.)?\d{1,2}:\d{2}:\d{2}(\.\d+)?$/, "must be a time span like 00:05:00")
  .transform((text) => {
    const [, days = "0", hours = "0", minutes = "0", seconds = "0"] = /^(?:(\d+)\.)?(\d+):(\d+):([\d.]+)$/.exec(text) ?? [];
    return ((Number(days) * 24 + Number(hours)) * 60 + Number(minutes)) * 60_000 + Number(seconds) * 1_000;
  });

const HostJson = z.looseObject({
  version: z.literal("2.0"),
  functionTimeout: z.union([z.literal("-1").transform(() => Infinity), timeSpan]).default(30 * 60_000),
  extensions: z
    .looseObject({
      http: z
        .looseObject({ routePrefix: z.string().default("api"), customHeaders: z.record(z.string(), z.string()).default({}) })
        .prefault({}),
      serviceBus: z
        .looseObject({
          autoCompleteMessages: z.boolean().default(true),
          maxConcurrentCalls: z
            .int()
            .min(1)
            .default(16 * availableParallelism()),
          maxConcurrentSessions: z.int().min(1).default(8),
          maxAutoLockRenewalDuration: timeSpan.default(5 * 60_000),
          sessionIdleTimeout: timeSpan.optional(),
        })
        .prefault({}),
    })
    .prefault({}),
  logging: z.looseObject({ logLevel: z.record(z.string(), z.string()).default({}) }).prefault({}),
});

/** host.json, with the platform's defaults. Durations in ms. */
export type HostJson = z.output<typeof HostJson>;

/** Throws an error that lists each fault. Settings that only matter in Azure are ignored. */
export function parseHostJson(content: unknown): HostJson {
  const parsed = HostJson.safeParse(content);
  if (!parsed.success) throw new Error(`host.json is not valid: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}

/** Reads and parses a host.json file. */
export function readHostJson(file: string): HostJson {
  return parseHostJson(parseFile(file, z.unknown()));
}

function parseFile<T>(file: string, schema: z.ZodType<T>): T {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  const parsed = schema.safeParse(content);
  if (!parsed.success) throw new Error(`${file} is not valid: ${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
