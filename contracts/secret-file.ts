import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from "node:crypto";
import { link, mkdir, readFile, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/**
 * The secret store of one machine: a folder with one encrypted file for each secret and one key file that only its owner
 * may read. The control plane writes it and the worker reads it; in Azure, Key Vault takes its place.
 */

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_FILE = "key";
const ID_PREFIX = "file:";

/** Names are made of a task's id and a side; anything that could leave the folder is refused. */
const SecretName = z.string().regex(/^[A-Za-z0-9-]{1,127}$/);

/** The id of a secret in the file store, for a Credential. */
export const secretFileId = (name: string): string => ID_PREFIX + SecretName.parse(name);

/** The name in an id, or undefined when the id is not of the file store. */
export function secretFileName(secretId: string): string | undefined {
  if (!secretId.startsWith(ID_PREFIX)) return undefined;
  return SecretName.safeParse(secretId.slice(ID_PREFIX.length)).data;
}

/** Where a secret is kept below `dir`. */
export const secretFilePath = (dir: string, name: string): string => join(dir, `${SecretName.parse(name)}.secret`);

/**
 * AES-256-GCM: nonce, tag and cipher text in one. The secret's name is authenticated with it, so that one secret's file
 * cannot be put in the place of another's.
 */
export function encryptSecret(key: Buffer, name: string, value: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(Buffer.from(name));
  const text = Buffer.concat([cipher.update(value, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), text]);
}

/** @throws Error when the key is another one, or the bytes were changed. */
function decryptSecret(key: Buffer, name: string, bytes: Buffer): string {
  const nonce = bytes.subarray(0, NONCE_BYTES);
  const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES }).setAAD(Buffer.from(name)).setAuthTag(tag);
  return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
}

/** The folder's key; made at the first call, readable by its owner alone. Safe when two processes begin at once. */
export async function secretFileKey(dir: string): Promise<Buffer> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, KEY_FILE);
  const made = `${path}.${randomUUID()}`;
  await writeFile(made, randomBytes(KEY_BYTES), { mode: 0o600, flag: "wx", flush: true });
  try {
    await link(made, path); // appears whole or not at all, and never replaces a key that is there
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
  } finally {
    await unlink(made);
  }
  return readKey(path);
}

async function readKey(path: string): Promise<Buffer> {
  const key = await readFile(path);
  if (key.length !== KEY_BYTES) throw new Error(`${path} does not hold a key of ${KEY_BYTES} bytes`);
  return key;
}

/**
 * Reads one secret.
 * @param dir the folder (SECRETS_FILE_DIR)
 * @param secretId as `secretFileId` makes it
 * @throws Error when the id is of another store, the file is missing, or the key does not fit; never with the secret in it
 */
export async function readSecretFile(dir: string, secretId: string): Promise<string> {
  const name = secretFileName(secretId);
  if (name === undefined) throw new Error("the secret is not in the file store");
  const [key, bytes] = await Promise.all([readKey(join(dir, KEY_FILE)), readFile(secretFilePath(dir, name))]);
  return decryptSecret(key, name, bytes);
}
