import { type Server } from "../postgres/server.ts";

/** What cleaning up the source needs of a migration, which may be over for days. */
export interface EndedMigration {
  readonly source: Server;
  readonly target: Server;
  readonly job: { readonly taskId: string; readonly selected: { readonly name: string } };
}
