import { expect, inject, test } from "vitest";
import { withClient } from "../../local/postgres/with-client.ts";

const url = (): string => `postgresql://postgres@127.0.0.1:${inject("postgres13Port")}/postgres`;

test("a session that its server ends while it is asked nothing fails with the next question, and the process lives on", async () => {
  const work = withClient(url(), "idle", async (client) => {
    const ended = new Promise<void>((resolve) => client.once("end", resolve));
    const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    await withClient(url(), "other", (other) => other.query("SELECT pg_terminate_backend($1)", [rows[0]?.pid]));
    await ended;
    return client.query("SELECT 1");
  });
  await expect(work).rejects.toThrow(/not queryable|closed|terminat/);
});
