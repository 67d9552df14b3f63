import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { type Environment, startEnvironment } from "../../local/environment.ts";
import { type TestDatabase } from "../setup/databases.ts";

/** A state that does not come within this is a failure; the error says what was there instead. */
const WAIT_MS_MAX = 90_000;

/** Between two looks; longer where it takes long. A look costs what the migration then lacks. */
const LOOK_MS_MIN = 75;
const LOOK_MS_MAX = 600;

type Json = Record<string, unknown>;

/** An item of a task's output, as far as the tests look at it. */
export interface OutputItem {
  readonly resultType?: string;
  readonly databaseName?: string;
  readonly tableName?: string;
  readonly migrationState?: string;
  readonly state?: string;
  readonly [property: string]: unknown;
}

export interface TaskView {
  readonly state: string;
  readonly errors: readonly { readonly code: string; readonly message: string }[];
  readonly output: readonly OutputItem[];
}

/** pgdms on this machine, seen through its REST API only. */
export class World {
  readonly environment: Environment;
  readonly #root: string;

  private constructor(environment: Environment) {
    this.environment = environment;
    this.#root = `${environment.url}/subscriptions/${randomUUID()}/resourceGroups/rg/providers/Microsoft.DataMigration/services/dms-local`;
  }

  static async start(options: Partial<Parameters<typeof startEnvironment>[0]> = {}): Promise<World> {
    return World.over(await startEnvironment({ port: 0, replaceWorkers: false, ...options }));
  }

  /** In parts that run already. Makes the service and the project. */
  static async over(environment: Environment): Promise<World> {
    const world = new World(environment);
    await world.put("", { location: "westeurope", sku: { name: "Premium_4vCores" }, properties: {} });
    await world.put("/projects/moves", {
      location: "westeurope",
      properties: { sourcePlatform: "PostgreSQL", targetPlatform: "AzureDbForPostgreSQL" },
    });
    return world;
  }

  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Json }> {
    return this.callRaw(method, path, body === undefined ? undefined : JSON.stringify(body));
  }

  /** With a body as it is, whatever it is. */
  async callRaw(method: string, path: string, body?: string): Promise<{ status: number; body: Json }> {
    const url = `${this.#root}${path}${path.includes("?") ? "&" : "?"}api-version=2018-07-15-preview`;
    const init = body === undefined ? { method } : { method, body, headers: { "content-type": "application/json" } };
    const response = await fetch(url, init);
    const text = await response.text();
    return { status: response.status, body: (text === "" ? {} : JSON.parse(text)) as Json };
  }

  /** PUTs a resource; fails when it is refused. */
  async put(path: string, body: unknown): Promise<void> {
    const answer = await this.call("PUT", path, body);
    if (answer.status >= 300) throw new Error(`PUT ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  /** PUTs a task; fails when it is refused. */
  async putTask(name: string, taskType: string, input: unknown): Promise<void> {
    await this.put(`/projects/moves/tasks/${name}`, { properties: { taskType, input } });
  }

  async task(name: string): Promise<TaskView> {
    const { body } = await this.call("GET", `/projects/moves/tasks/${name}?$expand=output`);
    const properties = (body["properties"] ?? {}) as Json;
    return {
      state: String(properties["state"]),
      errors: (properties["errors"] ?? []) as TaskView["errors"],
      output: (properties["output"] ?? []) as TaskView["output"],
    };
  }

  /** Starts the migration of one or several pairs. */
  async migrate(
    pairs: readonly { source: TestDatabase; target: TestDatabase }[],
    setting: Record<string, string> = {},
    sourceSetting: Record<string, string> = {},
  ): Promise<Migration> {
    const name = `migrate-${randomUUID().slice(0, 8)}`;
    const [first] = pairs;
    if (!first) throw new Error("a migration needs a pair of databases");
    await this.putTask(name, "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2", {
      sourceConnectionInfo: connectionOf(first.source),
      targetConnectionInfo: connectionOf(first.target),
      selectedDatabases: pairs.map(({ source, target }) => ({
        name: source.name,
        targetDatabaseName: target.name,
        migrationSetting: setting,
        sourceSetting,
      })),
    });
    return new Migration(this, name);
  }

  stop(): Promise<void> {
    return this.environment.stop();
  }
}

/** The connection object of the REST API for a test database. */
export const connectionOf = ({ port, name }: TestDatabase): Json => ({
  serverName: "127.0.0.1",
  port,
  databaseName: name,
  userName: "postgres",
  encryptConnection: false,
});

/** One migration task, driven and watched through the API. */
export class Migration {
  readonly world: World;
  readonly name: string;

  constructor(world: World, name: string) {
    this.world = world;
    this.name = name;
  }

  async database(databaseName: string): Promise<OutputItem | undefined> {
    const { output } = await this.world.task(this.name);
    return output.find((item) => item.resultType === "DatabaseLevelOutput" && item.databaseName === databaseName);
  }

  /** Waits until the task is as wanted; a task that ended otherwise fails at once, with all that it says. */
  async until(isWanted: (task: TaskView) => boolean | Promise<boolean>, lookMsMax = LOOK_MS_MAX): Promise<TaskView> {
    const beganMs = Date.now();
    for (;;) {
      const task = await this.world.task(this.name);
      if (await isWanted(task)) return task;
      const isOver = ["Succeeded", "Failed", "Faulted", "FailedInputValidation", "Canceled"].includes(task.state);
      const waitedMs = Date.now() - beganMs;
      if (isOver || waitedMs > WAIT_MS_MAX) throw new Error(`the task did not get there: ${JSON.stringify(task, undefined, 1)}`);
      await sleep(Math.min(lookMsMax, Math.max(LOOK_MS_MIN, waitedMs / 5)));
    }
  }

  /** Waits until a database is in a state of the wire. */
  reaches(databaseName: string, migrationState: string): Promise<TaskView> {
    return this.until((task) => task.output.some((item) => item.databaseName === databaseName && item.migrationState === migrationState));
  }

  /** Waits until so many rows are loaded. */
  loaded(databaseName: string, rows: number): Promise<TaskView> {
    return this.until(({ output }) =>
      output.some(
        (item) => item.resultType === "DatabaseLevelOutput" && item.databaseName === databaseName && Number(item["fullLoadRows"]) >= rows,
      ),
    );
  }

  /**
   * Holds the load up at a table that comes after others: it cannot be over before the answer is called.
   * @param table smaller than the others, so that it is loaded last
   */
  async heldInLoad({ source, target }: { source: TestDatabase; target: TestDatabase }, table: string): Promise<() => Promise<void>> {
    const phase = "SELECT 1 FROM pgdms.migration WHERE phase = 'loading'";
    await this.until(async () => (await target.query(phase).catch(() => ({ rowCount: 0 }))).rowCount === 1, LOOK_MS_MIN);
    const holder = await source.connect();
    await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    return () => holder.end();
  }

  /** Holds the load up inside a table that is cut into parts, some of which are done and some not. */
  async heldInside({ source, target }: { source: TestDatabase; target: TestDatabase }, table: string): Promise<() => Promise<void>> {
    const parts = async (state: string): Promise<number> =>
      (await target.query("SELECT FROM pgdms.table_load WHERE table_name = $1 AND state = $2", [table, state]).catch(() => undefined))
        ?.rowCount ?? 0;
    await this.until(async () => (await parts("done")) > 0, LOOK_MS_MIN);
    const holder = await source.connect();
    await holder.query(`BEGIN; LOCK TABLE ${table} IN ACCESS EXCLUSIVE MODE`);
    if ((await parts("queued")) === 0) throw new Error(`${table} was loaded before it could be held`);
    return () => holder.end();
  }

  ended(state: string): Promise<TaskView> {
    return this.until((task) => task.state === state);
  }

  async cutover(databaseName: string): Promise<void> {
    const answer = await this.world.call("POST", `/projects/moves/tasks/${this.name}/command`, {
      commandType: "Migrate.Sync.Complete.Database",
      input: { databaseName },
    });
    if (answer.status !== 200) throw new Error(`cutover: ${answer.status} ${JSON.stringify(answer.body)}`);
  }

  async cancel(): Promise<void> {
    await this.world.call("POST", `/projects/moves/tasks/${this.name}/cancel`);
  }
}

/** Everything of a table as text, sorted: equal means equal. */
export async function contents(database: TestDatabase, table: string): Promise<string[]> {
  const { rows } = await database.query(`SELECT t::text AS row FROM ${table} t ORDER BY 1`);
  return rows.map(({ row }) => String(row));
}

/** What a migration may have left on its source. */
export async function leftOnSource(database: TestDatabase): Promise<unknown[]> {
  const slots = await database.query("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()");
  const publications = await database.query("SELECT pubname FROM pg_publication");
  return [...slots.rows, ...publications.rows];
}

/** What a migration may have left on its target. */
export async function leftOnTarget(database: TestDatabase): Promise<unknown[]> {
  return (await database.query("SELECT nspname FROM pg_namespace WHERE nspname = 'pgdms'")).rows;
}
