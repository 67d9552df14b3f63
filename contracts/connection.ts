import { z } from "zod";

/**
 * The connection object of the REST API (`PostgreSqlConnectionInfo`). The real client fills `type` with the property's
 * name when the caller leaves it out, so `type` is accepted whatever it says.
 */
export const ConnectionInfo = z.object({
  type: z.string().optional(),
  serverName: z.string().trim().min(1).max(255),
  port: z.coerce.number().int().min(1).max(65535).default(5432),
  databaseName: z.string().min(1).max(63).optional(),
  userName: z.string().min(1).max(128).optional(),
  password: z.string().max(4096).nullish(),
  /** Instead of `password`: the URI of a Key Vault secret that the worker's identity can read. */
  passwordSecretUri: z.url().optional(),
  /** `ActiveDirectoryIntegrated`: log in with an Entra token of the worker's identity, fresh for each connection. */
  authentication: z
    .enum(["None", "WindowsAuthentication", "SqlAuthentication", "ActiveDirectoryIntegrated", "ActiveDirectoryPassword"])
    .optional(),
  encryptConnection: z.boolean().default(true),
  trustServerCertificate: z.boolean().default(false),
  additionalSettings: z.string().optional(),
  dataSource: z.string().optional(),
  serverVersion: z.string().optional(),
  serverBrandVersion: z.string().optional(),
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
