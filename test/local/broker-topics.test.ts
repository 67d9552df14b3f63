import { type ServiceBusMessage, type SqlRuleFilter } from "@azure/service-bus";
import { expect, test } from "vitest";
import { type BrokerConfig, type SubscriptionConfig, type TopicConfig, azureDefaults } from "../../local/broker/config.ts";
import { type Rule } from "../../local/broker/rules.ts";
import { bodiesOf, errorCodeOf, receiveOne, useBroker } from "./broker-fixture.ts";

const subscription = (name: string, rules: Rule[] = []): SubscriptionConfig => ({ name, settings: azureDefaults, rules });
const topic = (name: string, subscriptions: SubscriptionConfig[]): TopicConfig => ({
  name,
  defaultTimeToLiveMs: Infinity,
  duplicateWindowMs: 60_000,
  subscriptions,
});

const config: BrokerConfig = {
  queues: [],
  topics: [
    topic("events", [
      subscription("all"),
      subscription("hot", [{ name: "hot", filter: { kind: "correlation", system: { label: "hot" }, application: { kind: "x" } } }]),
      subscription("large", [{ name: "large", filter: { kind: "sql", expression: "rows > 1000 AND sys.Label LIKE 'load.%'" } }]),
      subscription("none", [{ name: "none", filter: { kind: "false" } }]),
      subscription("changed", [
        { name: "plain", filter: { kind: "true" } },
        { name: "marked", filter: { kind: "true" }, action: "SET kind = 'copy'; SET sys.To = 'audit'; REMOVE secret" },
      ]),
    ]),
    topic("managed", [subscription("s")]),
    topic("later", [subscription("s")]),
    topic("unique", [subscription("s")]),
  ],
};

const fixture = useBroker(config);
const publish = (topicName: string, messages: ServiceBusMessage[]): Promise<void> =>
  fixture.client.createSender(topicName).sendMessages(messages);
const peekBodies = async (topicName: string, name: string): Promise<unknown[]> =>
  bodiesOf(await fixture.client.createReceiver(topicName, name).peekMessages(100));

test("each subscription gets what its rules take", async () => {
  await publish("events", [
    { body: "hot", subject: "hot", applicationProperties: { kind: "x", secret: "s" } },
    { body: "hot, other kind", subject: "hot", applicationProperties: { kind: "y" } },
    { body: "large", subject: "load.table", applicationProperties: { rows: 5000 } },
    { body: "small", subject: "load.table", applicationProperties: { rows: 5 } },
  ]);
  expect(await peekBodies("events", "all")).toEqual(["hot", "hot, other kind", "large", "small"]);
  expect(await peekBodies("events", "hot")).toEqual(["hot"]);
  expect(await peekBodies("events", "large")).toEqual(["large"]);
  expect(await peekBodies("events", "none")).toEqual([]);
  const [plain, copy] = await fixture.client.createReceiver("events", "changed").peekMessages(2);
  expect(plain?.applicationProperties).toEqual({ kind: "x", secret: "s" });
  expect(copy).toMatchObject({ body: "hot", to: "audit", subject: "hot" });
  expect(copy?.applicationProperties).toEqual({ kind: "copy" });
});

test("a subscription has dead letters of its own", async () => {
  const receiver = fixture.client.createReceiver("events", "hot");
  await receiver.deadLetterMessage(await receiveOne(receiver), { deadLetterReason: "why", deadLetterErrorDescription: "because" });
  const deadLetters = fixture.client.createReceiver("events", "hot", { subQueueType: "deadLetter" });
  expect(await receiveOne(deadLetters)).toMatchObject({ body: "hot", deadLetterReason: "why" });
});

test("rules are listed, added and removed while the broker runs", async () => {
  const rules = fixture.client.createRuleManager("managed", "s");
  const listed = async (): Promise<unknown[]> => {
    const found = [];
    for await (const rule of rules.listRules()) found.push(rule);
    return found;
  };
  expect(await listed()).toMatchObject([{ name: "$Default", filter: { sqlExpression: "1=1" } }]);
  await rules.deleteRule("$Default");
  await publish("managed", [{ body: "nobody takes this" }]);
  await rules.createRule("sql", { sqlExpression: "n = 1" }, { sqlExpression: "SET m = n + 1" });
  await rules.createRule("correlation", { subject: "s", correlationId: "c", applicationProperties: { a: "b" } });
  expect(await listed()).toMatchObject([
    { name: "sql", filter: { sqlExpression: "n = 1" }, action: { sqlExpression: "SET m = n + 1" } },
    { name: "correlation", filter: { subject: "s", correlationId: "c", applicationProperties: { a: "b" } } },
  ]);
  expect(await errorCodeOf(rules.createRule("sql", { sqlExpression: "1=1" }))).toBe("MessagingEntityAlreadyExists");
  const wrong: SqlRuleFilter = { sqlExpression: "newid() = 1" };
  await expect(rules.createRule("wrong", wrong)).rejects.toThrow("the function newid is unknown");
  await publish("managed", [
    { body: "by sql", applicationProperties: { n: 1 } },
    { body: "by correlation", subject: "s", correlationId: "c", applicationProperties: { a: "b" } },
    { body: "not taken", subject: "s", correlationId: "c", applicationProperties: { a: "z" } },
  ]);
  const receiver = fixture.client.createReceiver("managed", "s");
  const messages = await receiver.peekMessages(10);
  expect(bodiesOf(messages)).toEqual(["by sql", "by correlation"]);
  expect(messages[0]?.applicationProperties).toEqual({ n: 1, m: 2 });
});

test("a topic schedules, and cancels what is scheduled", async () => {
  const sender = fixture.client.createSender("later");
  const [cancelled] = await sender.scheduleMessages({ body: "never" }, new Date(Date.now() + 3_600_000));
  const due = new Date(Date.now() + 300);
  await sender.scheduleMessages({ body: "soon" }, due);
  if (cancelled === undefined) throw new Error("a number was expected");
  await sender.cancelScheduledMessages(cancelled);
  expect(await errorCodeOf(sender.cancelScheduledMessages(cancelled))).toBe("MessageNotFound");
  const receiver = fixture.client.createReceiver("later", "s");
  expect((await receiveOne(receiver)).body).toBe("soon");
  expect(Date.now()).toBeGreaterThanOrEqual(due.getTime());
});

test("a topic drops duplicates", async () => {
  await publish("unique", [{ body: 1, messageId: "a" }]);
  await publish("unique", [{ body: 2, messageId: "a" }]);
  expect(await peekBodies("unique", "s")).toEqual([1]);
});

test("nothing is received from a topic itself, and an unknown subscription is not found", async () => {
  await expect(fixture.client.createReceiver("events").receiveMessages(1)).rejects.toThrow("is a topic");
  const unknown = fixture.client.createReceiver("events", "unknown").receiveMessages(1);
  expect(await errorCodeOf(unknown)).toBe("MessagingEntityNotFound");
});
