import fc from "fast-check";

/** Below the surrogates, which are no characters. */
const SURROGATES_BEGIN = 0xd800;
const SURROGATES = 0x800;
const CHARACTERS = 0x110000 - SURROGATES;

const character = fc.integer({ min: 0, max: CHARACTERS - 1 }).map((n) => String.fromCodePoint(n < SURROGATES_BEGIN ? n : n + SURROGATES));

/** Any text of any characters. fast-check's own unit "binary" lists all million of them first, which takes seconds each time. */
export const anyText = (constraints: { readonly minLength?: number; readonly maxLength?: number } = {}): fc.Arbitrary<string> =>
  fc.string({ unit: character, ...constraints });
