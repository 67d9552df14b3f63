import { type TaskType, TASK_TYPES } from "../contracts/commands.ts";
import { type Fence } from "../contracts/settings.ts";
import {
  CUTOVER_COMMAND,
  DEFAULT_API_VERSION,
  type CommandView,
  type ConnectionInput,
  type ConnectToSourceOutput,
  type ConnectToTargetOutput,
  type ErrorBody,
  type ErrorDetail,
  type Project,
  type SelectedDatabaseInput,
  type Service,
  type ServiceStatus,
  type Task,
  type UserTablesOutput,
} from "../contracts/wire.ts";

/** The names under which a client works. */
export interface ClientScope {
  readonly subscription: string;
  readonly resourceGroup: string;
  readonly service: string;
  readonly project: string;
}

/** The API refused a request. The message has what is wrong and the remedy, in one text. */
export class RequestRefused extends Error {
  readonly status: number;
  readonly code: string;
  readonly details: readonly ErrorDetail[];

  constructor(status: number, { code, message, details = [] }: ErrorDetail) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }
}

export interface MigrationInput {
  readonly sourceConnectionInfo: ConnectionInput;
  readonly targetConnectionInfo: ConnectionInput;
  readonly selectedDatabases: readonly SelectedDatabaseInput[];
}

const requestTimeoutMs = 30_000;

/** The REST API, as far as the commands of this folder use it. Every method throws RequestRefused, or the signal's reason. */
export class Client {
  readonly #service: string;
  readonly #scope: ClientScope;
  readonly #signal: AbortSignal;

  constructor(url: string, scope: ClientScope, signal: AbortSignal) {
    const [subscription, group, service] = [scope.subscription, scope.resourceGroup, scope.service].map(encodeURIComponent);
    this.#service = `${url}/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.DataMigration/services/${service}`;
    this.#scope = scope;
    this.#signal = signal;
  }

  putService(): Promise<Service> {
    return this.#call("PUT", "", { location: "local", sku: { name: "Premium_4vCores" }, properties: {} });
  }

  checkStatus(): Promise<ServiceStatus> {
    return this.#call("POST", "/checkStatus");
  }

  putProject(): Promise<Project> {
    return this.#call("PUT", this.#project, {
      location: "local",
      properties: { sourcePlatform: "PostgreSQL", targetPlatform: "AzureDbForPostgreSQL" },
    });
  }

  /** Makes and starts a task; one that is there with the same input is left as it is. */
  putTask(name: string, taskType: TaskType, input: object): Promise<Task> {
    return this.#call("PUT", this.#task(name), { properties: { taskType, input } });
  }

  putMigration(name: string, input: MigrationInput): Promise<Task> {
    return this.putTask(name, TASK_TYPES.migrateV2, input);
  }

  /** The task with its output and its commands. */
  getTask(name: string): Promise<Task> {
    return this.#call("GET", `${this.#task(name)}?$expand=output,command`);
  }

  /** Undefined when there is none of this name. */
  async findTask(name: string): Promise<Task | undefined> {
    try {
      return await this.getTask(name);
    } catch (error) {
      if (error instanceof RequestRefused && error.status === 404) return undefined;
      throw error;
    }
  }

  /** @param fence for this cutover; left out, as the migration's setting says */
  cutOver(name: string, databaseName: string, fence?: Fence): Promise<CommandView> {
    const input = { databaseName, ...(fence === undefined ? {} : { fence }) };
    return this.#call("POST", `${this.#task(name)}/command`, { commandType: CUTOVER_COMMAND, input });
  }

  cancel(name: string): Promise<Task> {
    return this.#call("POST", `${this.#task(name)}/cancel`);
  }

  async deleteTask(name: string): Promise<void> {
    await this.#call("DELETE", this.#task(name));
  }

  get #project(): string {
    return `/projects/${encodeURIComponent(this.#scope.project)}`;
  }

  #task(name: string): string {
    return `${this.#project}/tasks/${encodeURIComponent(name)}`;
  }

  async #call<T>(method: string, path: string, body?: object): Promise<T> {
    const url = `${this.#service}${path}${path.includes("?") ? "&" : "?"}api-version=${DEFAULT_API_VERSION}`;
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(requestTimeoutMs)]);
    const content = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
    const response = await fetch(url, { method, signal, ...content });
    const text = await response.text();
    const answer: unknown = text === "" ? {} : JSON.parse(text);
    if (response.ok) return answer as T; // our own API, whose answers have these types
    const { error = { code: String(response.status), message: `${method} ${path} was answered ${response.status}` } } =
      answer as Partial<ErrorBody>;
    throw new RequestRefused(response.status, error);
  }
}

/** What a connect task found, or undefined while it looks. */
export const connectOutput = (task: Task): ConnectToSourceOutput | ConnectToTargetOutput | undefined =>
  task.properties.output?.find((item): item is ConnectToSourceOutput | ConnectToTargetOutput => "databases" in item);

/** The tables that a GetUserTables task found. */
export const userTables = (task: Task): UserTablesOutput[] =>
  (task.properties.output ?? []).filter((item): item is UserTablesOutput => "tables" in item);
