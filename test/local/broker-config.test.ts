import { describe, expect, test } from "vitest";
import { parseEmulatorConfig } from "../../local/broker/emulator-config.ts";
import { pgdmsEntities } from "../../local/broker/entities.ts";
import { noJournal } from "../../local/broker/journal.ts";
import { Namespace } from "../../local/broker/namespace.ts";
import { parseSqlAction, parseSqlFilter } from "../../local/broker/sql.ts";

/** The shape of the emulator's published sample: a queue, a topic, correlation and SQL rules, and comments. */
const sample = `{
  "UserConfig": {
    "Namespaces": [ { // exactly one
      "Name": "sbemulatorns",
      "Queues": [ { "Name": "queue.1", "Properties": {
        "DeadLetteringOnMessageExpiration": false, "DefaultMessageTimeToLive": "PT1H", "DuplicateDetectionHistoryTimeWindow": "PT20S",
        "ForwardDeadLetteredMessagesTo": "", "ForwardTo": "", "LockDuration": "PT1M", "MaxDeliveryCount": 3,
        "RequiresDuplicateDetection": true, "RequiresSession": false } } ],
      "Topics": [ { "Name": "topic.1", "Properties": { "DefaultMessageTimeToLive": "PT1H", "RequiresDuplicateDetection": false },
        "Subscriptions": [
          { "Name": "subscription.1", "Properties": { "LockDuration": "PT2M30S", "MaxDeliveryCount": 5 },
            "Rules": [ { "Name": "app-prop-filter-1", "Properties": { "FilterType": "Correlation",
              "CorrelationFilter": { "ContentType": "application/json", "Label": "hot", "Properties": { "prop1": "value1" } } } } ] },
          { "Name": "subscription.2",
            "Rules": [ { "Name": "sql", "Properties": { "FilterType": "Sql",
              "SqlFilter": { "SqlExpression": "sys.MessageId = '123456' AND userProp1 = 'value1'" },
              "Action": { "SqlExpression": "SET sys.To = 'Entity'" } } } ] } ] } ]
    } ],
    "Logging": { "Type": "File" },
  }
}`;

test("the emulator's configuration file is understood, comments included", () => {
  const { queues, topics } = parseEmulatorConfig(sample);
  expect(queues).toMatchObject([{ name: "queue.1", settings: { lockDurationMs: 60_000, maxDeliveryCount: 3, duplicateWindowMs: 20_000 } }]);
  expect(topics).toMatchObject([{ name: "topic.1", defaultTimeToLiveMs: 3_600_000, duplicateWindowMs: 0 }]);
  const [first, second] = topics[0]?.subscriptions ?? [];
  expect(first).toMatchObject({ name: "subscription.1", settings: { lockDurationMs: 150_000, maxDeliveryCount: 5 } });
  const correlation = { kind: "correlation", system: { contentType: "application/json", label: "hot" }, application: { prop1: "value1" } };
  expect(first?.rules).toMatchObject([{ name: "app-prop-filter-1", filter: correlation }]);
  expect(second?.rules).toMatchObject([{ filter: { kind: "sql" }, action: "SET sys.To = 'Entity'" }]);
  expect(second?.settings.maxDeliveryCount).toBe(3);
  expect(() => new Namespace({ queues, topics }, noJournal).stop()).not.toThrow();
});

const faults = [
  ["a lock that is too long", '"PT1M"', '"PT6M"', "LockDuration"],
  ["a duration that is none", '"PT1M"', '"1 minute"', "LockDuration"],
  ["more deliveries than the emulator allows", '"MaxDeliveryCount": 3', '"MaxDeliveryCount": 2000', "MaxDeliveryCount"],
  ["a misspelt property", '"RequiresSession"', '"RequireSession"', "RequireSession"],
  ["another namespace", '"sbemulatorns"', '"mine"', "sbemulatorns"],
  ["an unknown kind of filter", '"Correlation"', '"Boolean"', "FilterType"],
  ["a file that is not JSON", '"Queues": [', '"Queues": ', "in line"],
] as const;

test.each(faults)("%s is refused, by name", (_title, from, to, named) => {
  expect(() => parseEmulatorConfig(sample.replace(from, to))).toThrow(named);
});

test("a commands queue is made for a service that is created later, and for no other name", () => {
  const namespace = new Namespace(pgdmsEntities(["first"]), noJournal);
  const later = namespace.find("Commands-Later");
  expect(later).toMatchObject({
    kind: "queue",
    queue: { settings: { requiresSession: true, maxDeliveryCount: 2000, lockDurationMs: 60_000 } },
  });
  expect(namespace.find("commands-later")).toEqual(later);
  for (const name of ["commands-", "commands-a/b", "commander", "other"]) expect(() => namespace.find(name)).toThrow("could not be found");
  namespace.stop();
});

describe("the SQL of rules", () => {
  const message = {
    system: { label: "load.table", messageId: "m-1" },
    application: new Map<string, unknown>([
      ["n", 4],
      ["text", "it's 100%"],
      ["yes", true],
      ["a name", "spaced"],
    ]),
  };
  const cases = [
    ["n = 4 AND text = 'it''s 100%'", true],
    ["n <> 4 OR yes = TRUE", true],
    ["NOT (n > 3)", false],
    ["n * 2 + 1 = 9 AND n % 3 = 1 AND -n < 0", true],
    ["sys.Label LIKE 'load._able' AND sys.messageid = 'm-1'", true],
    ["text LIKE '%100\\%' ESCAPE '\\'", true],
    ["text NOT LIKE '%zzz%'", true],
    ["n IN (1, 2, 4)", true],
    ["n NOT IN (1, 2)", true],
    ["missing IS NULL AND n IS NOT NULL", true],
    ["EXISTS(n) AND NOT EXISTS(user.missing)", true],
    ["[a name] = 'spaced' AND \"a name\" = user.[a name]", true],
    ["missing = 1", false],
    ["NOT (missing = 1)", false],
    ["missing = 1 OR n = 4", true],
    ["n = '4'", false],
    ["1=1", true],
    ["yes", true],
  ] as const;
  test.each(cases)("%s is %s", (expression, expected) => {
    expect(parseSqlFilter(expression)(message)).toBe(expected);
  });

  const refused = ["", "n =", "n = 1 n", "newid() = 1", "sys.Unknown = 1", "n = @p", "n = ?", "(n = 1", "n NOT 1"];
  test.each(refused)("%s is refused", (expression) => {
    expect(() => parseSqlFilter(expression)).toThrow("is not supported");
  });

  test("an action sets and removes properties", () => {
    const actions = parseSqlAction("SET total = n + 1; SET sys.Label = 'x' ; REMOVE [a name]");
    expect(actions.map(({ scope, name, value }) => [scope, name, value(message)])).toEqual([
      ["user", "total", 5],
      ["system", "label", "x"],
      ["user", "a name", null],
    ]);
    expect(() => parseSqlAction("DROP n")).toThrow("SET is missing");
  });
});
