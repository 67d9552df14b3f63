import { type TokenCredential } from "@azure/identity";
import { type Config } from "../config.ts";
import { openFileSecrets } from "./file-secrets.ts";
import { openKeyVaultSecrets } from "./key-vault-secrets.ts";

/** Where passwords live. What comes out is an id that says nothing; only the worker reads secrets. */
export interface SecretStore {
  /** Stores a secret; `tags` say whose it is. Answers the id for a Credential. */
  put(name: string, value: string, tags: Readonly<Record<string, string>>): Promise<string>;
  /** Removes a secret by the name that it was put under; one that is not there is removed already. */
  delete(name: string): Promise<void>;
}

/** A task has at most one password for each of its servers. */
export const secretName = (taskId: string, side: "source" | "target"): string => `mig-${taskId}-${side}`;

export function openSecrets(secrets: Config["secrets"], credential: () => TokenCredential): SecretStore {
  return "dir" in secrets ? openFileSecrets(secrets.dir) : openKeyVaultSecrets(secrets.vaultUri, credential);
}
