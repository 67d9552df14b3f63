import { TASK_TYPES, type SelectedDatabase, type TaskType, type TaskWork } from "../contracts/commands.ts";
import { type ConnectionInfo, type ConnectionReference, type Credential } from "../contracts/connection.ts";
import { TaskInputs, type TaskInput, type TaskInputView } from "../contracts/wire.ts";
import { connectionView } from "./connection-view.ts";
import { ApiError } from "./http/api-error.ts";
import { parsed } from "./http/validation.ts";
import { check, connectionProblems, databaseProblems, duplicates, INPUT, sameDatabase } from "./task-checks.ts";

export type Side = "source" | "target";

/** What a task request asks for, taken apart: what may be shown, what must be kept secret, and what the worker gets. */
export interface TaskPlan {
  readonly view: TaskInputView;
  readonly passwords: readonly { readonly side: Side; readonly password: string }[];
  /** @param secretIds where the passwords were stored */
  work(secretIds: Readonly<Partial<Record<Side, string>>>): TaskWork;
}

/**
 * Reads the input of a task.
 * @throws ApiError (400) that names every field that is wrong
 */
export function planTask(taskType: TaskType, input: unknown): TaskPlan {
  if (input === undefined || input === null) throw inputMissing(taskType);
  switch (taskType) {
    case TASK_TYPES.connectToSource:
      return planConnectToSource(parsed(TaskInputs[taskType], input, INPUT));
    case TASK_TYPES.connectToTarget:
      return planConnectToTarget(parsed(TaskInputs[taskType], input, INPUT));
    case TASK_TYPES.getUserTables:
      return planUserTables(parsed(TaskInputs[taskType], input, INPUT));
    case TASK_TYPES.migrate:
    case TASK_TYPES.migrateV2:
      return planMigration(taskType, parsed(TaskInputs[taskType], input, INPUT));
  }
}

function inputMissing(taskType: TaskType): ApiError {
  const target = "properties.input";
  const dropped = `${target}: is required. @azure/arm-datamigration 2.1.1 does not know ${TASK_TYPES.migrateV2} and leaves its input out: give ${TASK_TYPES.migrate} as the taskType, which does the same.`;
  const message = taskType === TASK_TYPES.migrateV2 ? dropped : `${target}: is required.`;
  return new ApiError("InvalidRequest", { details: [{ code: "ValueRequired", message, target }] });
}

function planConnectToSource({ sourceConnectionInfo: source }: TaskInput<typeof TASK_TYPES.connectToSource>): TaskPlan {
  check(connectionProblems(source, "sourceConnectionInfo"));
  return {
    view: { sourceConnectionInfo: connectionView(source) },
    passwords: passwordsOf({ source }),
    work: (ids) => ({ taskType: TASK_TYPES.connectToSource, source: reference(source, ids.source) }),
  };
}

function planConnectToTarget(input: TaskInput<typeof TASK_TYPES.connectToTarget>): TaskPlan {
  const { sourceConnectionInfo: source, targetConnectionInfo: target } = input;
  check([...connectionProblems(source, "sourceConnectionInfo"), ...connectionProblems(target, "targetConnectionInfo")]);
  return {
    view: { sourceConnectionInfo: connectionView(source), targetConnectionInfo: connectionView(target) },
    passwords: passwordsOf({ source, target }),
    work: (ids) => ({
      taskType: TASK_TYPES.connectToTarget,
      source: reference(source, ids.source),
      target: reference(target, ids.target),
    }),
  };
}

function planUserTables({ connectionInfo: source, selectedDatabases }: TaskInput<typeof TASK_TYPES.getUserTables>): TaskPlan {
  check([...connectionProblems(source, "connectionInfo"), ...duplicates(selectedDatabases, (at) => ["selectedDatabases", at])]);
  return {
    view: { connectionInfo: connectionView(source), selectedDatabases },
    passwords: passwordsOf({ source }),
    work: (ids) => ({ taskType: TASK_TYPES.getUserTables, source: reference(source, ids.source), selectedDatabases }),
  };
}

type MigrateType = typeof TASK_TYPES.migrate | typeof TASK_TYPES.migrateV2;

function planMigration(taskType: MigrateType, input: TaskInput<MigrateType>): TaskPlan {
  const { sourceConnectionInfo: source, targetConnectionInfo: target } = input;
  const databases = input.selectedDatabases.map((database): SelectedDatabase => ({
    ...database,
    targetDatabaseName: database.targetDatabaseName ?? database.name,
    selectedTables: database.selectedTables ?? [],
  }));
  check([
    ...connectionProblems(source, "sourceConnectionInfo"),
    ...connectionProblems(target, "targetConnectionInfo"),
    ...databases.flatMap(databaseProblems),
    ...duplicates(
      databases.map(({ name }) => name),
      (at) => ["selectedDatabases", at, "name"],
    ),
    ...duplicates(
      databases.map(({ targetDatabaseName }) => targetDatabaseName),
      (at) => ["selectedDatabases", at, "targetDatabaseName"],
    ),
    ...databases.flatMap((database, at) => sameDatabase(source, target, database, at)),
  ]);
  return {
    view: { sourceConnectionInfo: connectionView(source), targetConnectionInfo: connectionView(target), selectedDatabases: databases },
    passwords: passwordsOf({ source, target }),
    work: (ids) => ({
      taskType,
      source: reference(source, ids.source),
      target: reference(target, ids.target),
      selectedDatabases: databases,
    }),
  };
}

const passwordsOf = (connections: Partial<Record<Side, ConnectionInfo>>): TaskPlan["passwords"] =>
  (Object.entries(connections) as [Side, ConnectionInfo][]).flatMap(([side, { password, authentication }]) =>
    password && authentication !== "ActiveDirectoryIntegrated" ? [{ side, password }] : [],
  );

/** The database that a login goes to when none is named; every server has it. */
const DEFAULT_DATABASE = "postgres";

function reference(connection: ConnectionInfo, secretId: string | undefined): ConnectionReference {
  const { serverName, port, databaseName, userName, encryptConnection, trustServerCertificate } = connection;
  return {
    serverName,
    port,
    databaseName: databaseName ?? DEFAULT_DATABASE,
    userName: userName ?? "",
    credential: credentialOf(connection, secretId),
    encryptConnection,
    trustServerCertificate,
  };
}

function credentialOf({ authentication, passwordSecretUri }: ConnectionInfo, secretId: string | undefined): Credential {
  if (authentication === "ActiveDirectoryIntegrated") return { kind: "entra" };
  const id = secretId ?? passwordSecretUri ?? undefined;
  return id === undefined ? { kind: "none" } : { kind: "secret", secretId: id };
}
