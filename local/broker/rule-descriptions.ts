import { z } from "zod";
import { type Typed, describedList, wrap } from "./codec.ts";
import { type SystemProperty } from "./properties.ts";
import { type Rule, type RuleFilter, ruleSchema } from "./rules.ts";

/** Descriptors of the parts of a rule. Mind the lengths: rule and actions have 11 hexadecimal digits, filters 10. */
const descriptor = {
  rule: 0x137_0000_0004,
  emptyAction: 0x137_0000_0005,
  sqlAction: 0x137_0000_0006,
  sqlFilter: 0x13_7000_0006,
  trueFilter: 0x13_7000_0007,
  falseFilter: 0x13_7000_0008,
  correlationFilter: 0x13_7000_0009,
} as const;

const sqlCompatibilityLevel = 20;
const correlationFields: readonly (readonly [SystemProperty, wireName: string])[] = [
  ["correlationId", "correlation-id"],
  ["messageId", "message-id"],
  ["to", "to"],
  ["replyTo", "reply-to"],
  ["label", "label"],
  ["sessionId", "session-id"],
  ["replyToSessionId", "reply-to-session-id"],
  ["contentType", "content-type"],
];

/** A rule as `enumerate-rules` answers it. */
export function encodeRule({ name, filter, action }: Rule): Typed {
  const encodedAction =
    action === undefined ? describedList(descriptor.emptyAction, []) : describedList(descriptor.sqlAction, [action, sqlCompatibilityLevel]);
  return describedList(descriptor.rule, [encodeFilter(filter), encodedAction, name]);
}

function encodeFilter(filter: RuleFilter): Typed {
  switch (filter.kind) {
    case "true":
      return describedList(descriptor.trueFilter, []);
    case "false":
      return describedList(descriptor.falseFilter, []);
    case "sql":
      return describedList(descriptor.sqlFilter, [filter.expression, sqlCompatibilityLevel]);
    case "correlation": {
      const fields = correlationFields.map(([name]) => filter.system[name] ?? null);
      return describedList(descriptor.correlationFilter, [...fields, wrap(filter.application)]);
    }
  }
}

const wireRuleSchema = z.object({
  "sql-filter": z.object({ expression: z.string() }).optional(),
  "correlation-filter": z.record(z.string(), z.unknown()).optional(),
  "sql-rule-action": z.object({ expression: z.string() }).nullish(),
});

/** A rule as `add-rule` sends it. @throws z.ZodError */
export function decodeRule(name: unknown, description: unknown): Rule {
  const wire = wireRuleSchema.parse(description);
  return ruleSchema.parse({ name, filter: decodeFilter(wire), action: wire["sql-rule-action"]?.expression });
}

function decodeFilter(wire: z.output<typeof wireRuleSchema>): unknown {
  if (wire["sql-filter"] !== undefined) return { kind: "sql", expression: wire["sql-filter"].expression };
  const fields = wire["correlation-filter"] ?? {};
  const system = correlationFields.flatMap(([property, wireName]) =>
    fields[wireName] === undefined || fields[wireName] === null ? [] : [[property, fields[wireName]]],
  );
  return { kind: "correlation", system: Object.fromEntries(system) as unknown, application: fields["properties"] ?? {} };
}
