import { type ConnectionReference } from "../../contracts/connection.ts";

/** Which of the two databases; errors and logs say it. */
export type Side = "source" | "target";

/** One end of a migration: where it is, and how to get the password of the moment. */
export interface Server {
  readonly side: Side;
  readonly connection: ConnectionReference;
  /** Asked before each connection, so that rotated passwords and fresh Entra tokens are used. Undefined: no password. */
  readonly password: () => Promise<string | undefined>;
}

/** The same server, another database. */
export const inDatabase = (server: Server, databaseName: string): Server => ({
  ...server,
  connection: { ...server.connection, databaseName },
});
