import { chmod, chown, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate, type SubjectAltNameEntry } from "selfsigned";
import { startPostgres, type PostgresServer } from "../../../local/postgres.ts";
import { runAs } from "../../../local/postgres/run-as.ts";
import { type PostgresVersion } from "../../../local/postgres/binaries.ts";

/** An authority that signs certificates for test servers. */
export interface Authority {
  /** Its own certificate in a file, for NODE_EXTRA_CA_CERTS. */
  readonly file: string;
  /** Starts a server that speaks TLS with a certificate of this authority, and has a password. */
  startServer(version: PostgresVersion, names: readonly SubjectAltNameEntry[]): Promise<PostgresServer>;
  remove(): Promise<void>;
}

export const LOCALHOST: SubjectAltNameEntry = { type: 2, value: "localhost" };
export const LOOPBACK: SubjectAltNameEntry = { type: 7, ip: "127.0.0.1" };

export async function makeAuthority(commonName: string): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), "pgdms-certificates-"));
  await chmod(folder, 0o755); // PostgreSQL may run as another user
  const own = await generate([{ name: "commonName", value: commonName }], {
    algorithm: "sha256",
    extensions: [
      { name: "basicConstraints", cA: true, critical: true },
      { name: "keyUsage", keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  const file = join(folder, "authority.crt");
  await writeFile(file, own.cert);
  return {
    file,
    async startServer(version, altNames) {
      const signed = await generate([{ name: "commonName", value: "a test server" }], {
        algorithm: "sha256",
        ca: { key: own.private, cert: own.cert },
        extensions: [
          { name: "basicConstraints", cA: false },
          { name: "extKeyUsage", serverAuth: true },
          { name: "subjectAltName", altNames: [...altNames] },
        ],
      });
      const name = join(folder, `server-${version}`);
      await Promise.all([privateFile(`${name}.key`, signed.private), privateFile(`${name}.crt`, signed.cert)]);
      return startPostgres({
        version,
        auth: "scram-sha-256",
        settings: { ssl: "on", ssl_cert_file: `${name}.crt`, ssl_key_file: `${name}.key`, password_encryption: "scram-sha-256" },
      });
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

/** PostgreSQL refuses a key that others may read. */
async function privateFile(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
  const user = runAs();
  if (user.uid !== undefined) await chown(path, user.uid, user.gid);
}
