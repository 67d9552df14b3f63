import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseEmulatorConfig } from "../../local/broker/emulator-config.ts";
import { pgdmsEntities } from "../../local/broker/entities.ts";
import { type QueueSettings } from "../../local/broker/config.ts";
import { propertiesOf } from "../../scripts/bicep-lint/bicep-file.ts";
import { bodyOfDeclared, root, valueAt } from "./templates.ts";

const file = "modules/service-bus.bicep";

const minutes = (duration: string | undefined): number | undefined => {
  const match = /^'PT(\d+)M'$/.exec(duration ?? "");
  return match ? Number(match[1]) * 60_000 : undefined;
};

/** A queue of the template, in the broker's terms; what it leaves out is Azure's default. */
function queueInAzure(name: string) {
  const properties = propertiesOf(valueAt(bodyOfDeclared(file, name), "properties"));
  const text = (key: string): string | undefined => properties.get(key)?.text;
  return {
    lockDurationMs: minutes(text("lockDuration")),
    maxDeliveryCount: Number(text("maxDeliveryCount")),
    requiresSession: text("requiresSession") === "true",
    duplicateWindowMs: text("requiresDuplicateDetection") === "true" ? minutes(text("duplicateDetectionHistoryTimeWindow")) : 0,
    deadLetterOnExpiry: text("deadLetteringOnMessageExpiration") === "true",
    expires: properties.has("defaultMessageTimeToLive"),
  };
}

const comparable = (settings: QueueSettings) => ({
  lockDurationMs: settings.lockDurationMs,
  maxDeliveryCount: settings.maxDeliveryCount,
  requiresSession: settings.requiresSession,
  duplicateWindowMs: settings.duplicateWindowMs,
  deadLetterOnExpiry: settings.deadLetterOnExpiry,
  expires: settings.defaultTimeToLiveMs !== Infinity,
});

const local = pgdmsEntities(["pgdms"]);
const localQueue = (name: string): QueueSettings => local.queues.find((queue) => queue.name === name)?.settings as QueueSettings;

describe("the queues are the same in Azure and in the local broker:", () => {
  test.each([
    ["commands", "commands-pgdms"],
    ["reports", "reports"],
    ["requests", "requests"],
  ])("%s", (symbol, name) => {
    expect(queueInAzure(symbol)).toEqual(comparable(localQueue(name)));
  });
});

test("the commands queue of a pool is called commands-<name of the pool>", () => {
  expect(valueAt(bodyOfDeclared(file, "commands"), "name").text).toBe("'commands-${poolName}'");
  expect(valueAt(bodyOfDeclared("modules/worker.bicep", "app"), "properties", "template", "scale").text).toContain(
    "'commands-${poolName}'",
  );
});

test("the configuration of the Docker emulator holds the same entities, within the emulator's limits", () => {
  const emulator = parseEmulatorConfig(readFileSync(join(root, "local/broker/Config.json"), "utf8"));
  expect(emulator.queues.map(({ name }) => name)).toEqual(["commands-pgdms", "reports", "requests"]);
  expect(emulator.topics.map(({ name }) => name)).toEqual(["events"]);
  for (const { name, settings } of emulator.queues) {
    const azure = localQueue(name);
    expect({ name, sessions: settings.requiresSession, lockMs: settings.lockDurationMs, deadLetters: settings.deadLetterOnExpiry }).toEqual(
      {
        name,
        sessions: azure.requiresSession,
        lockMs: azure.lockDurationMs,
        deadLetters: azure.deadLetterOnExpiry,
      },
    );
    expect(settings.duplicateWindowMs > 0).toBe(azure.duplicateWindowMs > 0);
  }
});
