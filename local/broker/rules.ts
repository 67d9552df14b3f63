import { z } from "zod";
import { BrokerError } from "./errors.ts";
import { type MessageSections } from "./messages.ts";
import { type MessageProperties, propertiesOf, systemProperties, withApplicationProperties, withSystemProperty } from "./properties.ts";
import { type SqlAction, parseSqlAction, parseSqlFilter } from "./sql.ts";

const scalarSchema = z.union([z.string(), z.number(), z.boolean()]);
const systemSchema = z.partialRecord(z.enum(systemProperties as [(typeof systemProperties)[number]]), z.string());

const filterSchema = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("true") }),
  z.object({ kind: z.literal("false") }),
  z.object({ kind: z.literal("sql"), expression: z.string() }),
  z.object({ kind: z.literal("correlation"), system: systemSchema, application: z.record(z.string(), scalarSchema) }),
]);

/** A rule of a subscription: which messages it takes, and what it changes in the copy. */
export const ruleSchema = z.object({ name: z.string().min(1), filter: filterSchema, action: z.string().optional() });

export type RuleFilter = z.output<typeof filterSchema>;
export type Rule = z.output<typeof ruleSchema>;

/** What a subscription has when none is configured. */
export const defaultRule: Rule = { name: "$Default", filter: { kind: "true" } };

interface CompiledRule {
  readonly rule: Rule;
  readonly matches: (properties: MessageProperties) => boolean;
  readonly actions: readonly SqlAction[];
}

/** The rules of one subscription, ready to use. */
export class RuleSet {
  readonly #compiled = new Map<string, CompiledRule>();

  /** @throws BrokerError `com.microsoft:argument-error` when an expression is outside the supported SQL. */
  constructor(rules: readonly Rule[]) {
    for (const rule of rules) this.add(rule);
  }

  get rules(): Rule[] {
    return [...this.#compiled.values()].map(({ rule }) => rule);
  }

  add(rule: Rule): void {
    const key = rule.name.toLowerCase();
    if (this.#compiled.has(key)) throw new BrokerError("com.microsoft:entity-already-exists", `The rule '${rule.name}' exists already.`);
    this.#compiled.set(key, { rule, matches: compileFilter(rule.filter), actions: parseSqlAction(rule.action ?? "") });
  }

  remove(name: string): void {
    if (!this.#compiled.delete(name.toLowerCase())) throw new BrokerError("amqp:not-found", `The rule '${name}' could not be found.`);
  }

  /**
   * The copies of a message that the subscription gets: one for all matching rules without an action together, and one
   * for each matching rule with an action. None if no rule matches.
   */
  copies(sections: MessageSections): MessageSections[] {
    const properties = propertiesOf(sections);
    const matching = [...this.#compiled.values()].filter((rule) => rule.matches(properties));
    const plain = matching.some(({ actions }) => actions.length === 0) ? [sections] : [];
    const changed = matching.filter(({ actions }) => actions.length > 0);
    return [...plain, ...changed.map(({ actions }) => applyActions(sections, actions))];
  }
}

function compileFilter(filter: RuleFilter): (properties: MessageProperties) => boolean {
  switch (filter.kind) {
    case "true":
      return () => true;
    case "false":
      return () => false;
    case "sql":
      return parseSqlFilter(filter.expression);
    case "correlation":
      return ({ system, application }) =>
        systemProperties.every((name) => filter.system[name] === undefined || filter.system[name] === system[name]) &&
        Object.entries(filter.application).every(([name, value]) => application.get(name) === value);
  }
}

/** Each assignment sees what the ones before it changed. */
function applyActions(sections: MessageSections, actions: readonly SqlAction[]): MessageSections {
  return actions.reduce((changed, action) => {
    const value = action.value(propertiesOf(changed)) ?? undefined;
    if (action.scope === "user") return withApplicationProperties(changed, { [action.name]: value });
    return withSystemProperty(changed, action.name, value === undefined ? undefined : String(value));
  }, sections);
}
