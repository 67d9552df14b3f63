import pg from "pg";

/**
 * Works in one session of a database and ends it. A server that ends while it is asked nothing is told by the next question only:
 * a client's error that nobody hears would end the whole process.
 * @throws what `work` throws, or why there is no session.
 */
export async function withClient<T>(url: string, applicationName: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: applicationName });
  client.on("error", () => undefined);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}
