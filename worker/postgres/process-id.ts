import type pg from "pg";

/** The server process of a connected session, which `pg` keeps without telling its types; undefined behind what gives none. */
export const processIdOf = (client: pg.Client): number | undefined =>
  "processID" in client && typeof client.processID === "number" ? client.processID : undefined;
