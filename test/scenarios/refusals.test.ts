import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type PostgresServer, startPostgres } from "../../local/postgres.ts";
import { createDatabase, createPair, type TestDatabase } from "../setup/databases.ts";
import { connectionOf, leftOnSource, leftOnTarget, type TaskView, World } from "./world.ts";

type Pair = Awaited<ReturnType<typeof createPair>>;

describe("what cannot work is refused before anything is touched, with a code and a remedy", () => {
  let world: World;
  let pair: Pair;
  beforeAll(async () => {
    world = await World.start();
  });
  afterAll(() => world.stop());
  beforeEach(async () => {
    pair = await createPair();
    await pair.source.query("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
    await pair.target.query("CREATE TABLE t (id int PRIMARY KEY)");
  });
  afterEach(() => pair.drop());

  /** Starts a migration that must be refused; returns what it says. */
  async function refusal(input: { source?: object; target?: object; from?: TestDatabase; to?: TestDatabase }): Promise<TaskView> {
    const from = input.from ?? pair.source;
    const to = input.to ?? pair.target;
    const name = `refused-${Math.random().toString(36).slice(2)}`;
    await world.putTask(name, "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2", {
      sourceConnectionInfo: { ...connectionOf(from), ...input.source },
      targetConnectionInfo: { ...connectionOf(to), ...input.target },
      selectedDatabases: [{ name: from.name, targetDatabaseName: to.name }],
    });
    const deadline = Date.now() + 60_000;
    for (;;) {
      const task = await world.task(name);
      if (!["Queued", "Running"].includes(task.state)) return task;
      if (Date.now() > deadline) throw new Error(`still ${task.state}: ${JSON.stringify(task)}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async function expectRefused(task: TaskView, code: string, remedy: RegExp) {
    expect(task.state).toBe("FailedInputValidation");
    expect(task.errors.map((error) => error.code)).toContain(code);
    expect(JSON.stringify(task)).toMatch(remedy);
    expect(await leftOnSource(pair.source)).toEqual([]);
    expect(await leftOnTarget(pair.target)).toEqual([]);
  }

  test("an unreachable host", async () => {
    await expectRefused(await refusal({ source: { port: 1 } }), "PG1001", /firewall/);
  });

  test("a host name that does not exist", async () => {
    await expectRefused(await refusal({ target: { serverName: "no-such-host.invalid" } }), "PG1002", /DNS/);
  });

  test("a database that does not exist", async () => {
    const task = await refusal({ from: { ...pair.source, name: "nowhere" } });
    await expectRefused(task, "PG1007", /case-sensitive/);
  });

  test("a user without the REPLICATION right", async () => {
    await pair.source.query(
      "DROP ROLE IF EXISTS t_no_replication; CREATE ROLE t_no_replication LOGIN; GRANT SELECT ON t TO t_no_replication",
    );
    await expectRefused(await refusal({ source: { userName: "t_no_replication" } }), "PG1106", /REPLICATION/);
    await pair.source.query("DROP OWNED BY t_no_replication; DROP ROLE t_no_replication");
  });

  test("a target that is older than the source", async () => {
    const task = await refusal({ from: pair.target, to: pair.source });
    expect(task.errors.map((error) => error.code)).toContain("PG1102");
  });

  test("a table that the target lacks", async () => {
    await pair.source.query("CREATE TABLE only_here (id int PRIMARY KEY)");
    await expectRefused(await refusal({}), "PG1108", /migrateSchema/);
  });

  test("rows that are on the target already", async () => {
    await pair.target.query("INSERT INTO t VALUES (1)");
    await expectRefused(await refusal({}), "PG1110", /onExistingRows/);
    expect((await pair.target.query("SELECT * FROM t")).rowCount).toBe(1);
  });

  test("a body that is no JSON, and a setting that is none, are refused by the API itself", async () => {
    const answer = await world.call("PUT", "/projects/moves/tasks/odd", {
      properties: {
        taskType: "Migrate.PostgreSql.AzureDbForPostgreSql.SyncV2",
        input: {
          sourceConnectionInfo: connectionOf(pair.source),
          targetConnectionInfo: connectionOf(pair.target),
          selectedDatabases: [{ name: pair.source.name, targetDatabaseName: pair.target.name, migrationSetting: { fullLoadStream: "4" } }],
        },
      },
    });
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.body)).toMatch(/fullLoadStream.*Known settings.*fullLoadStreams/);
    const broken = await world.callRaw("PUT", "/projects/moves/tasks/odd", '{"properties": ');
    expect(broken.status).toBe(400);
    expect(JSON.stringify(broken.body)).toMatch(/InvalidRequest/);
  });

  describe("on servers of their own", () => {
    const servers: PostgresServer[] = [];
    afterEach(async () => {
      await Promise.all(servers.splice(0).map((server) => server.stop()));
    });

    test("a source whose wal_level is replica", async () => {
      const server = await startPostgres({ version: "13", settings: { wal_level: "replica" } });
      servers.push(server);
      const from = await createDatabase("source", server.port);
      await from.query("CREATE TABLE t (id int PRIMARY KEY)");
      await expectRefused(await refusal({ from }), "PG1103", /wal_level = logical/);
    });

    test("a wrong password, which is never shown", async () => {
      const server = await startPostgres({ version: "13", auth: "scram-sha-256" });
      servers.push(server);
      const from = { ...pair.source, port: server.port, name: "postgres" } as TestDatabase;
      const task = await refusal({ from, source: { password: "wr0ng-and-secret" } });
      await expectRefused(task, "PG1003", /pg_hba/);
      expect(JSON.stringify(task)).not.toContain("wr0ng-and-secret");
    });
  });
});
