import { BrokerError } from "./errors.ts";

export type Token =
  | { readonly kind: "word"; readonly text: string }
  /** `[a name]` or `"a name"`: never a keyword. */
  | { readonly kind: "quoted"; readonly text: string }
  | { readonly kind: "string"; readonly text: string }
  | { readonly kind: "number"; readonly text: string }
  | { readonly kind: "symbol"; readonly text: string };

const pattern =
  /\s*(?:(?<string>'(?:[^']|'')*')|\[(?<bracketed>(?:[^\]]|\]\])+)\]|"(?<quoted>(?:[^"]|"")+)"|(?<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<word>[\p{L}_@#][\p{L}\p{N}_@#$]*)|(?<symbol><>|!=|<=|>=|[=<>()+\-*/%,.;]))/uy;

/** @throws BrokerError `com.microsoft:argument-error`, with the text that could not be read. */
export function tokenize(expression: string): Token[] {
  const tokens: Token[] = [];
  pattern.lastIndex = 0;
  for (let offset = 0; offset < expression.trimEnd().length; offset = pattern.lastIndex) {
    const groups = pattern.exec(expression)?.groups;
    if (groups === undefined) throw sqlError(expression, `cannot read "${expression.slice(offset, offset + 20).trim()}"`);
    tokens.push(toToken(groups));
  }
  return tokens;
}

function toToken(groups: Record<string, string | undefined>): Token {
  const { string, bracketed, quoted, number, word, symbol } = groups;
  if (string !== undefined) return { kind: "string", text: string.slice(1, -1).replaceAll("''", "'") };
  if (bracketed !== undefined) return { kind: "quoted", text: bracketed.replaceAll("]]", "]") };
  if (quoted !== undefined) return { kind: "quoted", text: quoted.replaceAll('""', '"') };
  if (number !== undefined) return { kind: "number", text: number };
  if (word !== undefined) return { kind: "word", text: word };
  return { kind: "symbol", text: symbol ?? "" };
}

export function sqlError(expression: string, problem: string): BrokerError {
  return new BrokerError("com.microsoft:argument-error", `The rule expression '${expression}' is not supported: ${problem}.`);
}
