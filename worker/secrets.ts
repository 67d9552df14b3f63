import { type TokenCredential } from "@azure/identity";
import { type ConnectionReference } from "../contracts/connection.ts";
import { MigrationError } from "../contracts/errors.ts";
import { azureIdentity } from "../contracts/identity.ts";
import { readSecretFile } from "../contracts/secret-file.ts";
import { type Server, type Side } from "./postgres/server.ts";

/** The scope of tokens that Azure Database for PostgreSQL takes as passwords. */
const POSTGRES_SCOPE = "https://ossrdbms-aad.database.windows.net/.default";

/** Where passwords come from. */
export interface SecretSource {
  readonly keyVaultUri?: string | undefined;
  readonly secretsFileDir?: string | undefined;
  readonly identityClientId?: string | undefined;
}

/** Reads a Key Vault secret by its identifier: https://<vault>.vault.azure.net/secrets/<name>[/<version>]. */
async function readKeyVaultSecret(secretId: string, credential: TokenCredential): Promise<string> {
  const { origin, pathname } = new URL(secretId);
  const [, , name, version] = pathname.split("/");
  if (name === undefined) throw new Error("the identifier names no secret");
  const { SecretClient } = await import("@azure/keyvault-secrets"); // nothing else needs it, and each database has a thread that starts
  const secret = await new SecretClient(origin, credential).getSecret(name, version === undefined ? {} : { version });
  if (secret.value === undefined) throw new Error("the secret has no value");
  return secret.value;
}

/**
 * The two ends of a migration with their passwords at hand. A password is read for each connection, so that a rotated
 * one is followed; an Entra token is always fresh.
 * @throws MigrationError SecretUnreadable (from `password`), which never carries the secret.
 */
export function serverFor(side: Side, connection: ConnectionReference, secrets: SecretSource): Server {
  const identity = azureIdentity(secrets.identityClientId);
  const password = async (): Promise<string | undefined> => {
    const { credential } = connection;
    if (credential.kind === "none") return undefined;
    try {
      if (credential.kind === "entra") return (await identity.getToken(POSTGRES_SCOPE)).token;
      if (credential.secretId.startsWith("https://")) return await readKeyVaultSecret(credential.secretId, identity);
      return await readSecretFile(secrets.secretsFileDir ?? "", credential.secretId);
    } catch (thrown) {
      throw new MigrationError("SecretUnreadable", { detail: `Password of ${connection.userName} on the ${side}.`, cause: thrown });
    }
  };
  return { side, connection, password };
}
