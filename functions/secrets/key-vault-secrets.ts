import { type TokenCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";
import { type SecretStore } from "./secret-store.ts";

/** A secret that nobody deleted (the vault was out of reach) ends by itself. */
const LIFETIME_DAYS = 365;
const DAY_MS = 86_400_000;

const isGone = (error: unknown): boolean =>
  error instanceof Error && "statusCode" in error && [404, 409].includes(Number(error.statusCode));

/** Secrets in Key Vault. Ids are secret URIs with their version. Deleting is soft: purging is the vault's own affair. */
export function openKeyVaultSecrets(vaultUri: string, credential: () => TokenCredential): SecretStore {
  let opened: SecretClient | undefined;
  const client = (): SecretClient => (opened ??= new SecretClient(vaultUri, credential()));
  return {
    async put(name, value, tags) {
      const expiresOn = new Date(Date.now() + LIFETIME_DAYS * DAY_MS);
      const { properties } = await client().setSecret(name, value, { contentType: "text/plain", expiresOn, tags: { ...tags } });
      if (properties.id === undefined) throw new Error("Key Vault gave no id for a secret");
      return properties.id;
    },
    async delete(name) {
      try {
        await client().beginDeleteSecret(name);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    },
  };
}
