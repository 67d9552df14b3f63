import { z } from "zod";
import { databaseName, plainText, word } from "./words.ts";

/** A boolean with a default, which null means as well. */
const unless = (standard: boolean) =>
  z
    .boolean()
    .nullish()
    .meta({ default: standard })
    .transform((value) => value ?? standard);

/** A name or an address alone. A slash would make it the path of a socket of the worker's own machine. */
const serverName = z
  .string()
  .trim()
  .min(1)
  .max(255)
  .regex(
    /^([^\s\0/\\,:@]+|[0-9A-Fa-f:.]+(%\w+)?)$/,
    "is no host name and no IP address. Give it alone, without protocol, port or brackets; the port has a field of its own",
  );

const PORT = 5432;

const portNumber = z.int().min(1).max(65535);

const port = z
  .union([portNumber, z.string().regex(/^\d{1,5}$/, "is no number")], { error: "is no whole number from 1 to 65535" })
  .nullish()
  .meta({ default: PORT })
  .transform((value) => Number(value ?? PORT))
  .pipe(portNumber);

/**
 * The connection object of the REST API (`PostgreSqlConnectionInfo`). The real client fills `type` with the property's
 * name when the caller leaves it out, so `type` is accepted whatever it says. Null is the same as left out: serializers write it for what is not set.
 */
export const ConnectionInfo = z.object({
  type: z.string().nullish(),
  serverName,
  port,
  databaseName: databaseName.nullish(),
  userName: plainText.min(1).max(128).nullish(),
  password: plainText.max(4096).nullish(),
  /** Instead of `password`: the URI of a Key Vault secret that the worker's identity can read. */
  passwordSecretUri: z.url().nullish(),
  /** `ActiveDirectoryIntegrated`: log in with an Entra token of the worker's identity, fresh for each connection. */
  authentication: word([
    "None",
    "WindowsAuthentication",
    "SqlAuthentication",
    "ActiveDirectoryIntegrated",
    "ActiveDirectoryPassword",
  ]).nullish(),
  encryptConnection: unless(true),
  trustServerCertificate: unless(false),
  additionalSettings: z.string().nullish(),
  dataSource: z.string().nullish(),
  serverVersion: z.string().nullish(),
  serverBrandVersion: z.string().nullish(),
});
export type ConnectionInfo = z.infer<typeof ConnectionInfo>;

/** How the worker gets the password: not at all, from the secret store, or a fresh Entra token for each connection. */
export const Credential = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("none") }),
  z.object({ kind: z.literal("secret"), secretId: z.string().min(1) }),
  z.object({ kind: z.literal("entra") }),
]);
export type Credential = z.infer<typeof Credential>;

/** What travels to the worker: everything but the password. Safe to log, to store and to show. */
export const ConnectionReference = z.object({
  serverName: z.string().min(1),
  port: z.number().int(),
  databaseName: z.string().min(1),
  userName: z.string().min(1),
  credential: Credential,
  encryptConnection: z.boolean(),
  trustServerCertificate: z.boolean(),
});
export type ConnectionReference = z.infer<typeof ConnectionReference>;
