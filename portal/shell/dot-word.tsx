import "./dot-word.css";

export type DotTone = "none" | "active" | "good" | "bad";

/** A state in a list of thousands of rows: a word, and a dot before it. Elsewhere StateBadge says it with an icon. */
export const dotWord = (tone: DotTone, word: string, title?: string) => (
  <span className="dot-word" data-tone={tone} title={title}>
    {word}
  </span>
);
