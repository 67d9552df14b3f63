import { randomUUID } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { encryptSecret, secretFileId, secretFileKey, secretFilePath } from "../../contracts/secret-file.ts";
import { type SecretStore } from "./secret-store.ts";

/** Secrets as encrypted files in one folder, for one machine. */
export function openFileSecrets(dir: string): SecretStore {
  return {
    async put(name, value) {
      const key = await secretFileKey(dir);
      const path = secretFilePath(dir, name);
      const whole = `${path}.${randomUUID()}`;
      await writeFile(whole, encryptSecret(key, name, value), { mode: 0o600, flush: true });
      await rename(whole, path); // a reader sees the old bytes or the new ones, never half
      return secretFileId(name);
    },
    delete: (name) => rm(secretFilePath(dir, name), { force: true }),
  };
}
