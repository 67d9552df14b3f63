import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";

/** The user that PostgreSQL runs as; empty when we may run it as ourselves. */
export type RunAs = Readonly<{ uid: number; gid: number }> | Readonly<Record<string, never>>;

/** PostgreSQL refuses root. Then it runs as `nobody`, which exists everywhere; a made-up uid is refused as well. */
export function runAs(): RunAs {
  if (process.getuid?.() !== 0) return {};
  const line = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((entry) => entry.startsWith("nobody:"));
  const [, , uid, gid] = line?.split(":") ?? [];
  if (uid === undefined || gid === undefined) {
    throw new Error('PostgreSQL does not run as root, and /etc/passwd has no user "nobody" to run it as: start as an ordinary user');
  }
  return { uid: Number(uid), gid: Number(gid) };
}

/** Throws when the user that PostgreSQL runs as cannot reach `folder`; its own messages do not say which parent is closed. */
export function assertReachable(folder: string, user: RunAs): void {
  if (user.uid === undefined) return;
  for (let parent = dirname(resolve(folder)); ; parent = dirname(parent)) {
    if (!(statSync(parent).mode & 0o001)) {
      throw new Error(
        `${folder} cannot be used by PostgreSQL: it runs as the user "nobody" because we are root, and "nobody" may not enter ${parent}. ` +
          `Choose a folder elsewhere, or start as an ordinary user.`,
      );
    }
    if (parent === dirname(parent)) return;
  }
}
