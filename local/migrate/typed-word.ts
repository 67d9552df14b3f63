import { createInterface } from "node:readline";

/** What a person types while the screen above keeps changing. */
export interface TypedWord {
  /** True once for each time that the word was entered. */
  isGiven(): boolean;
  /** What is typed and not entered yet: a terminal that is redrawn cannot show it by itself. */
  typed(): string;
  close(): void;
}

const ctrlC = "\x03";
const backspaces = ["\x7f", "\b"];

/** Waits for a word on standard input, from a terminal or a pipe. The end of the input is no word. */
export function waitForWord(word: string, input: NodeJS.ReadStream): TypedWord {
  let given = false;
  const enter = (line: string): void => {
    if (line.trim().toLowerCase() === word) given = true;
  };
  const taken = (): boolean => {
    const isGiven = given;
    given = false;
    return isGiven;
  };
  if (input.isTTY) return { isGiven: taken, ...readKeys(input, enter) };
  const lines = createInterface({ input }).on("line", enter);
  return { isGiven: taken, typed: () => "", close: () => lines.close() };
}

/** Key by key: the terminal's own echo would be in the middle of what we draw. */
function readKeys(input: NodeJS.ReadStream, enter: (line: string) => void): Pick<TypedWord, "typed" | "close"> {
  let typed = "";
  const onData = (keys: string): void => {
    for (const key of keys) {
      if (key === ctrlC) process.kill(process.pid, "SIGINT");
      else if (key === "\r" || key === "\n") {
        enter(typed);
        typed = "";
      } else if (backspaces.includes(key)) typed = typed.slice(0, -1);
      else if (key >= " ") typed += key;
    }
  };
  input.setRawMode(true);
  input.setEncoding("utf8").on("data", onData).resume();
  return {
    typed: () => typed,
    close: () => {
      input.off("data", onData).pause();
      input.setRawMode(false);
    },
  };
}
