import { type ParseError, parse, printParseErrorCode } from "jsonc-parser";
import { z } from "zod";
import { type BrokerConfig, type QueueSettings, type SubscriptionConfig } from "./config.ts";
import { type Rule } from "./rules.ts";

/*
 * The `Config.json` of Microsoft's Service Bus emulator, with the emulator's own limits, so that one file drives both.
 * https://github.com/Azure/azure-service-bus-emulator-installer
 */

const entitiesMax = 50;
const subscriptionsMax = 50;
const rulesMax = 1000;

/** An ISO 8601 duration of whole seconds, within limits, as milliseconds. */
function duration(shortest: string, longest: string, byDefault: string) {
  const problem = `must be an ISO 8601 duration from ${shortest} to ${longest}, such as ${byDefault}`;
  return z
    .string()
    .default(byDefault)
    .transform(durationMs)
    .refine((timeMs) => timeMs >= durationMs(shortest) && timeMs <= durationMs(longest), problem);
}

function durationMs(text: string): number {
  const parts = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(text);
  if (parts === null || text.endsWith("P") || text.endsWith("T")) return Number.NaN;
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = parts.slice(1).map((part) => Number(part ?? 0));
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000;
}

const name = z.string().regex(/^[A-Za-z0-9](?:[\w./-]{0,258}[A-Za-z0-9])?$/, "must be an entity name: letters, digits, . - _ / inside");
const forward = z.string().default("");
const timeToLive = duration("PT5M", "PT1H", "PT1H");
const duplicateWindow = duration("PT5S", "PT5M", "PT20S");

const queueProperties = z.strictObject({
  LockDuration: duration("PT5S", "PT5M", "PT1M"),
  MaxDeliveryCount: z.number().int().min(1).max(10).default(3),
  DefaultMessageTimeToLive: timeToLive,
  DeadLetteringOnMessageExpiration: z.boolean().default(false),
  RequiresSession: z.boolean().default(false),
  RequiresDuplicateDetection: z.boolean().default(false),
  DuplicateDetectionHistoryTimeWindow: duplicateWindow,
  ForwardTo: forward,
  ForwardDeadLetteredMessagesTo: forward,
});

const topicProperties = z.strictObject({
  DefaultMessageTimeToLive: timeToLive,
  RequiresDuplicateDetection: z.boolean().default(false),
  DuplicateDetectionHistoryTimeWindow: duplicateWindow,
});

const correlationFilter = z.strictObject({
  ContentType: z.string().optional(),
  CorrelationId: z.string().optional(),
  Label: z.string().optional(),
  MessageId: z.string().optional(),
  ReplyTo: z.string().optional(),
  ReplyToSessionId: z.string().optional(),
  SessionId: z.string().optional(),
  To: z.string().optional(),
  Properties: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
});

const sqlExpression = z.object({ SqlExpression: z.string().min(1) });
const ruleProperties = z.discriminatedUnion("FilterType", [
  z.strictObject({ FilterType: z.literal("Correlation"), CorrelationFilter: correlationFilter, Action: sqlExpression.optional() }),
  z.strictObject({ FilterType: z.literal("Sql"), SqlFilter: sqlExpression, Action: sqlExpression.optional() }),
]);

const subscription = z.strictObject({
  Name: name,
  Properties: queueProperties.omit({ RequiresDuplicateDetection: true, DuplicateDetectionHistoryTimeWindow: true }).prefault({}),
  Rules: z
    .array(z.strictObject({ Name: z.string().min(1), Properties: ruleProperties }))
    .max(rulesMax)
    .default([]),
});

const namespace = z.strictObject({
  Name: z.literal("sbemulatorns", 'must be "sbemulatorns", the only name that the emulator allows'),
  Queues: z.array(z.strictObject({ Name: name, Properties: queueProperties.prefault({}) })),
  Topics: z.array(
    z.strictObject({
      Name: name,
      Properties: topicProperties.prefault({}),
      Subscriptions: z.array(subscription).min(1).max(subscriptionsMax),
    }),
  ),
});

const configSchema = z.object({
  UserConfig: z.strictObject({
    Namespaces: z
      .tuple([namespace], "must hold exactly one namespace")
      .refine(([{ Queues, Topics }]) => Queues.length + Topics.length <= entitiesMax, `must hold at most ${entitiesMax} queues and topics`),
    Logging: z.strictObject({ Type: z.enum(["File", "Console", "File,Console", "Console,File"]) }),
  }),
});

/**
 * Reads a configuration file's text; comments and trailing commas are allowed.
 * @throws Error that names each field, what is wrong with it and what it may be
 */
export function parseEmulatorConfig(text: string): BrokerConfig {
  const errors: ParseError[] = [];
  const content: unknown = parse(text, errors, { allowTrailingComma: true });
  const [syntaxError] = errors;
  if (syntaxError !== undefined) {
    const line = text.slice(0, syntaxError.offset).split("\n").length;
    throw new Error(`The broker configuration is not JSON: ${printParseErrorCode(syntaxError.error)} in line ${line}.`);
  }
  const parsed = configSchema.safeParse(content);
  if (!parsed.success) throw new Error(`The broker configuration is not valid:\n${z.prettifyError(parsed.error)}`);
  const [{ Queues, Topics }] = parsed.data.UserConfig.Namespaces;
  return {
    queues: Queues.map(({ Name, Properties }) => ({ name: Name, settings: queueSettings(Properties, windowOf(Properties)) })),
    topics: Topics.map(({ Name, Properties, Subscriptions }) => ({
      name: Name,
      defaultTimeToLiveMs: Properties.DefaultMessageTimeToLive,
      duplicateWindowMs: windowOf(Properties),
      subscriptions: Subscriptions.map(subscriptionConfig),
    })),
  };
}

const windowOf = (properties: z.output<typeof topicProperties>): number =>
  properties.RequiresDuplicateDetection ? properties.DuplicateDetectionHistoryTimeWindow : 0;

type SharedProperties = z.output<typeof subscription>["Properties"];

function queueSettings(properties: SharedProperties, duplicateWindowMs: number): QueueSettings {
  return {
    lockDurationMs: properties.LockDuration,
    maxDeliveryCount: properties.MaxDeliveryCount,
    defaultTimeToLiveMs: properties.DefaultMessageTimeToLive,
    deadLetterOnExpiry: properties.DeadLetteringOnMessageExpiration,
    requiresSession: properties.RequiresSession,
    duplicateWindowMs,
    forwardTo: properties.ForwardTo || undefined,
    forwardDeadLettersTo: properties.ForwardDeadLetteredMessagesTo || undefined,
  };
}

function subscriptionConfig({ Name, Properties, Rules }: z.output<typeof subscription>): SubscriptionConfig {
  const rules = Rules.map(({ Name: ruleName, Properties: rule }): Rule => ({
    name: ruleName,
    filter: rule.FilterType === "Sql" ? { kind: "sql", expression: rule.SqlFilter.SqlExpression } : correlation(rule.CorrelationFilter),
    action: rule.Action?.SqlExpression,
  }));
  return { name: Name, settings: queueSettings(Properties, 0), rules };
}

function correlation(filter: z.output<typeof correlationFilter>): Rule["filter"] {
  const { Properties: application, ...system } = filter;
  const uncapitalized = Object.entries(system).map(([key, value]) => [key.charAt(0).toLowerCase() + key.slice(1), value]);
  return { kind: "correlation", system: Object.fromEntries(uncapitalized) as Record<string, string>, application };
}
