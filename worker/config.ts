import { hostname } from "node:os";
import { z } from "zod";

/** Everything that the worker takes from its environment, read once at the start. */
const Environment = z
  .object({
    /** The service (worker pool) whose commands this worker takes. */
    PGDMS_SERVICE: z.string().min(1),
    /** Tells workers apart in reports; by default the host's name with the process id. */
    WORKER_ID: z.string().min(1).default(`${hostname()}-${process.pid}`),
    /** Locally: a connection string. On Azure: the namespace, with a managed identity. */
    ServiceBusConnection: z.string().min(1).optional(),
    ServiceBusConnection__fullyQualifiedNamespace: z.string().min(1).optional(),
    REPORTS_QUEUE: z.string().min(1).default("reports"),
    /** Client id of the user-assigned identity. */
    AZURE_CLIENT_ID: z.string().min(1).optional(),
    /** Where the passwords are: a Key Vault, or locally a folder of encrypted files. */
    KEY_VAULT_URI: z.url().optional(),
    SECRETS_FILE_DIR: z.string().min(1).optional(),
    /** How many tasks this worker runs at once. */
    MAX_TASKS: z.coerce.number().int().min(1).max(100).default(8),
    /** How many databases it migrates at once before it takes no further task; unset: as many as have room in its memory. */
    MAX_DATABASES: z.coerce.number().int().min(1).max(1_000).optional(),
    PG_DUMP_PATH: z.string().min(1).optional(),
    /** Answers GET /healthz on this port while the event loop is alive; unset: no listener. */
    HEALTH_PORT: z.coerce.number().int().min(0).max(65_535).optional(),
    LOG_LEVEL: z.enum(["trace", "debug", "info", "warn", "error", "silent"]).default("info"),
    /** How long a stopping worker may take to reach a transaction boundary, in seconds. */
    STOP_GRACE_SECONDS: z.coerce.number().int().min(1).max(600).default(20),
  })
  .refine((env) => env.ServiceBusConnection !== undefined || env.ServiceBusConnection__fullyQualifiedNamespace !== undefined, {
    message: "set ServiceBusConnection (a connection string) or ServiceBusConnection__fullyQualifiedNamespace",
    path: ["ServiceBusConnection"],
  })
  .refine((env) => env.KEY_VAULT_URI !== undefined || env.SECRETS_FILE_DIR !== undefined, {
    message: "set KEY_VAULT_URI, or SECRETS_FILE_DIR on one machine",
    path: ["KEY_VAULT_URI"],
  });

export type Config = Readonly<z.infer<typeof Environment>>;

/**
 * Reads the environment.
 * @throws Error that lists every fault by name.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const result = Environment.safeParse(env);
  if (result.success) return Object.freeze(result.data);
  const faults = result.error.issues.map(({ path, message }) => `  ${path.join(".")}: ${message}`);
  throw new Error(`The worker's environment is not right:\n${faults.join("\n")}`);
}
