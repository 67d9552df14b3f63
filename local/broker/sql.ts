import { type MessageProperties, type SystemProperty, systemProperties } from "./properties.ts";
import { type Token, sqlError, tokenize } from "./sql-tokens.ts";
import { type Value, calculate, compare, like, not, or, scalar } from "./sql-values.ts";

/*
 * The part of Service Bus's SQL rule language that is supported:
 *   filters   OR, AND, NOT, ( ), = <> != < <= > >=, [NOT] LIKE … [ESCAPE …], [NOT] IN (…), IS [NOT] NULL, EXISTS(name),
 *             + - * / % on numbers (+ also joins strings), strings, numbers, TRUE, FALSE, NULL,
 *             properties as name, user.name, sys.Name, [name], "name"
 *   actions   SET name = expression, REMOVE name; several parted by ;
 * Not supported, and refused by name: functions (newid, property, p), parameters (@p), hexadecimal and binary literals.
 * As in SQL, comparing with NULL or between types gives "unknown", and only "true" matches.
 * https://learn.microsoft.com/azure/service-bus-messaging/service-bus-messaging-sql-filter
 */

type Evaluate = (properties: MessageProperties) => Value;

export type SqlAction =
  | { readonly scope: "user"; readonly name: string; readonly value: Evaluate }
  | { readonly scope: "system"; readonly name: SystemProperty; readonly value: Evaluate };

type PropertyName = { readonly scope: "user"; readonly name: string } | { readonly scope: "system"; readonly name: SystemProperty };

/** @throws BrokerError `com.microsoft:argument-error` */
export function parseSqlFilter(expression: string): (properties: MessageProperties) => boolean {
  const parser = new Parser(expression);
  const evaluate = parser.disjunction();
  parser.expectEnd();
  return (properties) => evaluate(properties) === true;
}

/** @throws BrokerError `com.microsoft:argument-error` */
export function parseSqlAction(expression: string): SqlAction[] {
  const parser = new Parser(expression);
  const actions: SqlAction[] = [];
  while (!parser.atEnd()) {
    actions.push(parser.action());
    if (!parser.atEnd()) parser.expect(";");
  }
  return actions;
}

class Parser {
  readonly #expression: string;
  readonly #tokens: Token[];
  #position = 0;

  constructor(expression: string) {
    this.#expression = expression;
    this.#tokens = tokenize(expression);
  }

  action(): SqlAction {
    const removes = this.#take("REMOVE");
    if (!removes) this.expect("SET");
    const property = this.#propertyName();
    if (removes) return { ...property, value: () => null };
    this.expect("=");
    return { ...property, value: this.disjunction() };
  }

  disjunction(): Evaluate {
    let left = this.#conjunction();
    while (this.#take("OR")) {
      const [a, b] = [left, this.#conjunction()];
      left = (properties) => or(a(properties), b(properties));
    }
    return left;
  }

  #conjunction(): Evaluate {
    let left = this.#negation();
    while (this.#take("AND")) {
      const [a, b] = [left, this.#negation()];
      left = (properties) => not(or(not(a(properties)), not(b(properties))));
    }
    return left;
  }

  #negation(): Evaluate {
    if (!this.#take("NOT")) return this.#comparison();
    const operand = this.#negation();
    return (properties) => not(operand(properties));
  }

  #comparison(): Evaluate {
    const left = this.#sum();
    const operator = ["=", "<>", "!=", "<=", ">=", "<", ">"].find((symbol) => this.#take(symbol));
    if (operator !== undefined) {
      const right = this.#sum();
      return (properties) => compare(operator, left(properties), right(properties));
    }
    if (this.#take("IS")) return this.#nullTest(left);
    const negated = this.#take("NOT");
    const test = this.#take("LIKE") ? this.#like(left) : this.#take("IN") ? this.#in(left) : undefined;
    if (test === undefined && negated) throw this.#problem("LIKE or IN is missing after NOT");
    if (test === undefined) return left;
    return negated ? (properties) => not(test(properties)) : test;
  }

  #nullTest(left: Evaluate): Evaluate {
    const negated = this.#take("NOT");
    this.expect("NULL");
    return (properties) => (left(properties) === null) !== negated;
  }

  #like(left: Evaluate): Evaluate {
    const pattern = this.#sum();
    const escape = this.#take("ESCAPE") ? this.#sum() : () => null;
    return (properties) => like(left(properties), pattern(properties), escape(properties));
  }

  #in(left: Evaluate): Evaluate {
    this.expect("(");
    const members = [this.#sum()];
    while (this.#take(",")) members.push(this.#sum());
    this.expect(")");
    return (properties) => members.map((member) => compare("=", left(properties), member(properties))).reduce(or);
  }

  #sum(): Evaluate {
    let left = this.#product();
    for (;;) {
      const operator = ["+", "-"].find((symbol) => this.#take(symbol));
      if (operator === undefined) return left;
      const [a, b] = [left, this.#product()];
      left = (properties) => calculate(operator, a(properties), b(properties));
    }
  }

  #product(): Evaluate {
    let left = this.#primary();
    for (;;) {
      const operator = ["*", "/", "%"].find((symbol) => this.#take(symbol));
      if (operator === undefined) return left;
      const [a, b] = [left, this.#primary()];
      left = (properties) => calculate(operator, a(properties), b(properties));
    }
  }

  #primary(): Evaluate {
    if (this.#take("(")) {
      const inner = this.disjunction();
      this.expect(")");
      return inner;
    }
    if (this.#take("-")) {
      const operand = this.#primary();
      return (properties) => calculate("-", 0, operand(properties));
    }
    if (this.#take("EXISTS")) return this.#exists();
    return this.#literal() ?? this.#property();
  }

  #exists(): Evaluate {
    this.expect("(");
    const value = lookUp(this.#propertyName());
    this.expect(")");
    return (properties) => value(properties) !== null;
  }

  #literal(): Evaluate | undefined {
    const token = this.#tokens[this.#position];
    const value = token === undefined ? undefined : literalValue(token);
    if (value === undefined) return undefined;
    this.#position += 1;
    return () => value;
  }

  #property(): Evaluate {
    const name = this.#propertyName();
    if (this.#take("(")) throw this.#problem(`the function ${name.name} is unknown`);
    return lookUp(name);
  }

  #propertyName(): PropertyName {
    const first = this.#name();
    if (!this.#take(".")) return { scope: "user", name: first };
    const name = this.#name();
    if (first.toLowerCase() === "user") return { scope: "user", name };
    const known = systemProperties.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
    if (first.toLowerCase() !== "sys" || known === undefined) throw this.#problem(`there is no property ${first}.${name}`);
    return { scope: "system", name: known };
  }

  #name(): string {
    const token = this.#tokens[this.#position];
    if (token === undefined || (token.kind !== "word" && token.kind !== "quoted")) throw this.#problem("a property name is missing");
    if (token.text.startsWith("@")) throw this.#problem(`parameters such as ${token.text} have no values here`);
    this.#position += 1;
    return token.text;
  }

  atEnd(): boolean {
    return this.#position >= this.#tokens.length;
  }

  expectEnd(): void {
    if (!this.atEnd()) throw this.#problem("something follows the expression");
  }

  expect(text: string): void {
    if (!this.#take(text)) throw this.#problem(`${text} is missing`);
  }

  #take(text: string): boolean {
    const token = this.#tokens[this.#position];
    if (token === undefined || (token.kind !== "word" && token.kind !== "symbol") || token.text.toUpperCase() !== text) return false;
    this.#position += 1;
    return true;
  }

  #problem(problem: string): Error {
    const token = this.#tokens[this.#position];
    return sqlError(this.#expression, token === undefined ? `${problem} at its end` : `${problem} at "${token.text}"`);
  }
}

function literalValue(token: Token): Value | undefined {
  if (token.kind === "string") return token.text;
  if (token.kind === "number") return Number(token.text);
  if (token.kind !== "word") return undefined;
  return { TRUE: true, FALSE: false, NULL: null }[token.text.toUpperCase()];
}

function lookUp({ scope, name }: PropertyName): Evaluate {
  return ({ system, application }) => scalar(scope === "system" ? system[name] : application.get(name));
}
