import { type TableName } from "../../contracts/tables.ts";
import { versionNum, withConnection } from "../postgres/connect.ts";
import { type Server } from "../postgres/server.ts";
import { type ListedTable } from "../target/listed-tables.ts";
import { type DefinitionStep, readTableFacts, stepsToFit, type TableFacts } from "./table-facts.ts";

const read = (server: Server, table: TableName): Promise<TableFacts | undefined> =>
  withConnection(server, { purpose: "definition" }, async (client) => readTableFacts(client, await versionNum(client), table));

/** What must be done on the target so that a table fits the source's of now; undefined when one of them is gone. */
export async function readStepsToFit(source: Server, target: Server, table: ListedTable): Promise<DefinitionStep[] | undefined> {
  const [ours, theirs] = await Promise.all([read(source, table), read(target, table.target)]);
  return ours && theirs && stepsToFit({ source: ours, target: theirs, table: table.target, pinned: table.sourceColumns });
}
