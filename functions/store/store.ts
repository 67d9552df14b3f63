import { TableClient, type TableServiceClientOptions } from "@azure/data-tables";
import { type TokenCredential } from "@azure/identity";
import { type z } from "zod";
import { type Config } from "../config.ts";
import { commandColumns, CommandRow } from "./commands.ts";
import { DocumentTable } from "./document-table.ts";
import { ProjectRow } from "./projects.ts";
import { OperationRow, serviceColumns, ServiceRow } from "./services.ts";
import { OutboxRow } from "./outbox.ts";
import { RequestRow } from "./requests.ts";
import { OutputRow } from "./task-outputs.ts";
import { taskColumns, taskIndexColumns, TaskIndexRow, TaskRow } from "./tasks.ts";
import { WorkerRow } from "./workers.ts";

/** The state of the control plane; nothing else keeps any. */
export interface Store {
  readonly services: DocumentTable<ServiceRow>;
  readonly operations: DocumentTable<OperationRow>;
  readonly projects: DocumentTable<ProjectRow>;
  readonly tasks: DocumentTable<TaskRow>;
  readonly taskIndex: DocumentTable<TaskIndexRow>;
  readonly taskOutputs: DocumentTable<OutputRow>;
  readonly commands: DocumentTable<CommandRow>;
  readonly workers: DocumentTable<WorkerRow>;
  readonly requests: DocumentTable<RequestRow>;
  readonly outbox: DocumentTable<OutboxRow>;
}

/** A caller waits: three tries within about two seconds, then an error. */
const retryOptions: TableServiceClientOptions["retryOptions"] = { maxRetries: 3, retryDelayInMs: 200, maxRetryDelayInMs: 1000 };

/** Opens the tables; they are made when they are first used. */
export function openStore(tables: Config["tables"], credential: () => TokenCredential): Store {
  const table = <T>(
    name: string,
    schema: z.ZodType<T>,
    columns?: (value: T) => Record<string, string | number | boolean>,
  ): DocumentTable<T> => new DocumentTable(openTable(name, tables, credential), schema, columns);
  return {
    services: table("Services", ServiceRow, serviceColumns),
    operations: table("Operations", OperationRow),
    projects: table("Projects", ProjectRow),
    tasks: table("Tasks", TaskRow, taskColumns),
    taskIndex: table("TaskIndex", TaskIndexRow, taskIndexColumns),
    taskOutputs: table("TaskOutputs", OutputRow),
    commands: table("Commands", CommandRow, commandColumns),
    workers: table("Workers", WorkerRow),
    requests: table("Requests", RequestRow),
    outbox: table("Outbox", OutboxRow),
  };
}

function openTable(name: string, tables: Config["tables"], credential: () => TokenCredential): TableClient {
  if ("endpoint" in tables) return new TableClient(tables.endpoint, name, credential(), { retryOptions });
  // Azurite on this machine speaks HTTP; a connection string to anything else says HTTPS.
  const allowInsecureConnection = /UseDevelopmentStorage=true|TableEndpoint=http:\/\/(127\.0\.0\.1|localhost|\[::1\])[:/]/i.test(
    tables.connectionString,
  );
  return TableClient.fromConnectionString(tables.connectionString, name, { retryOptions, allowInsecureConnection });
}
