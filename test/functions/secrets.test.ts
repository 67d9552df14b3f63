import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readSecretFile, secretFileId, secretFileKey, secretFileName, secretFilePath } from "../../contracts/secret-file.ts";
import { openFileSecrets } from "../../functions/secrets/file-secrets.ts";

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "pgdms-secrets-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test("a secret is read by its id, lies encrypted in a file of its owner alone, and is gone when deleted", async () => {
  const secrets = openFileSecrets(dir);
  const id = await secrets.put("mig-1-source", "pässword \u0000 long", {});
  expect(await readSecretFile(dir, id)).toBe("pässword \u0000 long");
  for (const file of await readdir(dir)) {
    expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600);
    expect((await readFile(join(dir, file))).includes("ssword")).toBe(false);
  }
  await secrets.delete("mig-1-source");
  await secrets.delete("mig-1-source");
  await expect(readSecretFile(dir, id)).rejects.toThrow("ENOENT");
});

test("two who begin at once share one key", async () => {
  const keys = await Promise.all(Array.from({ length: 10 }, () => secretFileKey(dir)));
  expect(new Set(keys.map((key) => key.toString("hex"))).size).toBe(1);
  expect(await readdir(dir)).toEqual(["key"]);
});

test("bytes that were changed, or moved to another secret's name, are refused", async () => {
  const secrets = openFileSecrets(dir);
  const id = await secrets.put("one", "1", {});
  const other = await secrets.put("other", "2", {});
  const bytes = await readFile(secretFilePath(dir, "one"));
  await writeFile(secretFilePath(dir, "other"), bytes);
  await expect(readSecretFile(dir, other)).rejects.toThrow();
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  await writeFile(secretFilePath(dir, "one"), bytes);
  await expect(readSecretFile(dir, id)).rejects.toThrow();
});

test("no id leads out of the folder", async () => {
  expect(secretFileName("file:../../etc/passwd")).toBeUndefined();
  expect(secretFileName("https://vault.example.net/secrets/a")).toBeUndefined();
  expect(() => secretFileId("../a")).toThrow();
  await expect(readSecretFile(dir, "file:../key")).rejects.toThrow("not in the file store");
});
