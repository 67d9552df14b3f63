import { type CleanUpCommand } from "../../contracts/commands.ts";
import { reported } from "../../contracts/errors.ts";
import { type Finding } from "../../contracts/reports.ts";
import { type Logger } from "../log.ts";
import { type SecretSource, serverFor } from "../secrets.ts";
import { tlsOf } from "../tls-settings.ts";
import { type EndedMigration } from "./ended-migration.ts";
import { removeBookkeeping } from "./ending.ts";
import { cleanSource, leftOnSource } from "./source-clean-up.ts";

/**
 * Cleans up sources that could not be reached when their task ended. Never throws.
 * @returns one finding for each database: that it is over, or why it is not.
 */
export function cleanUpLater(command: CleanUpCommand, secrets: SecretSource, log: Logger): Promise<Finding[]> {
  return Promise.all(
    command.databases.map(async ({ name, end }) => {
      const finding = { kind: "finding", databaseName: name, subject: "", since: new Date().toISOString() } as const;
      const migration = endedMigration(command, name, secrets);
      try {
        await cleanSource(migration, end);
        await removeBookkeeping(migration, end);
        log.info({ event: "cleanup.source.done", databaseName: name }, "the source was cleaned up after the task's end");
        return { ...finding, error: reported("SourceLeftovers"), resolved: true };
      } catch (thrown) {
        log.warn({ event: "cleanup.source.failed", databaseName: name, err: thrown }, "the source could not be cleaned up yet");
        return { ...finding, error: leftOnSource(migration, thrown), resolved: false };
      }
    }),
  );
}

/** The findings of a task that ended without looking after its sources, one for each database. */
export const leftUnseen = (taskId: string, databases: readonly { readonly name: string }[]): Finding[] =>
  databases.map(({ name }) => ({
    kind: "finding",
    databaseName: name,
    subject: "",
    error: leftOnSource({ job: { taskId, selected: { name } } }, "The task ended before the source was looked at."),
    since: new Date().toISOString(),
    resolved: false,
  }));

function endedMigration({ taskId, work }: CleanUpCommand, name: string, secrets: SecretSource): EndedMigration {
  const selected = work.selectedDatabases.find((database) => database.name === name);
  const source = { ...work.source, databaseName: name };
  const target = { ...work.target, databaseName: selected?.targetDatabaseName ?? name };
  return {
    source: serverFor("source", tlsOf(source, selected?.sourceSetting ?? {}), secrets),
    target: serverFor("target", tlsOf(target, selected?.targetSetting ?? {}), secrets),
    job: { taskId, selected: { name } },
  };
}
