import { styleText } from "node:util";

/** What the screen shows of one step. */
export interface Step {
  /** What goes on now; further lines stand below it. Cheap: drawn at most ten times a second, or as a plain line now and then. */
  show(text: string, ...below: string[]): void;
  done(text: string): void;
  warn(text: string): void;
  fail(text: string): void;
}

type Format = Parameters<typeof styleText>[0];

const drawIntervalMs = 100;
/** Where nothing can be redrawn (a file, a pipeline) a line of progress is written this often. */
const plainIntervalMs = 3_000;
const labelWidth = 4;
const nameWidth = 22;
const timeWidth = 9;
const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏";

/** Steps that fill one after another; on a terminal the last one moves. */
export class Terminal {
  readonly #out: NodeJS.WriteStream;
  readonly isLive: boolean;
  readonly #hasColour: boolean;
  #drawn: readonly string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #frame = 0;

  constructor(out: NodeJS.WriteStream, environment: NodeJS.ProcessEnv) {
    this.#out = out;
    this.isLive = out.isTTY && environment["TERM"] !== "dumb" && environment["CI"] === undefined;
    this.#hasColour = out.isTTY && environment["TERM"] !== "dumb" && !environment["NO_COLOR"];
  }

  style(format: Format, text: string): string {
    return this.#hasColour ? styleText(format, text) : text;
  }

  print(text = ""): void {
    this.#erase();
    this.#out.write(`${text}\n`);
  }

  /** Begins a step; `label` is the number in the tutorial, or a word. Its time counts from here. */
  step(label: string, name: string): Step {
    const beganMs = performance.now();
    const elapsed = (): string => seconds(performance.now() - beganMs).padStart(timeWidth);
    const head = `${label.padStart(labelWidth)}  ${name.padEnd(nameWidth)}`;
    let lastPlainMs = beganMs;
    let lines: readonly string[] = [""];
    const redraw = (): void => {
      const [text = "", ...below] = lines;
      const mark = this.style("cyan", spinner.charAt(this.#frame++ % spinner.length));
      const margin = " ".repeat(labelWidth + nameWidth + timeWidth + 7);
      this.#draw([`${mark} ${head} ${this.style("dim", elapsed())}  ${text}`, ...below.map((line) => margin + line)]);
    };
    if (this.isLive) {
      clearInterval(this.#timer);
      this.#timer = setInterval(redraw, drawIntervalMs).unref();
      redraw();
    }
    const end = (mark: string, colour: Format, text: string): void => {
      clearInterval(this.#timer);
      this.print(`${this.style(colour, mark)} ${head} ${this.style("dim", elapsed())}  ${text}`);
    };
    return {
      show: (text, ...below) => {
        lines = [text, ...below];
        if (this.isLive || performance.now() - lastPlainMs < plainIntervalMs) return;
        lastPlainMs = performance.now();
        this.print(`… ${head} ${elapsed()}  ${text}`);
      },
      done: (text) => end("✔", "green", text),
      warn: (text) => end("!", "yellow", text),
      fail: (text) => end("✘", "red", text),
    };
  }

  /** Takes what moves off the screen, and stops it. */
  close(): void {
    clearInterval(this.#timer);
    this.#erase();
  }

  /** A line that wraps could not be taken back: what is too long is cut. */
  #draw(lines: readonly string[]): void {
    this.#erase();
    const columns = Math.max(20, (this.#out.columns || 120) - 1);
    this.#out.write(lines.map((line) => `${cut(line, columns)}\n`).join(""));
    this.#drawn = lines;
  }

  #erase(): void {
    if (this.#drawn.length > 0) this.#out.write(`\r\x1b[${this.#drawn.length}A\x1b[0J`);
    this.#drawn = [];
  }
}

/** Cuts to so many characters that show; what sets colours does not count. */
function cut(line: string, columns: number): string {
  let shown = 0;
  // eslint-disable-next-line no-control-regex -- colours begin with the escape character
  for (const { 0: piece, index } of line.matchAll(/\x1b\[[0-9;]*m|./gu)) {
    if (piece.startsWith("\x1b")) continue;
    if (shown++ === columns) return `${line.slice(0, index)}\x1b[0m`;
  }
  return line;
}

const eighths = " ▏▎▍▌▋▊▉█";

/** A bar of `width` characters, filled from 0 to 1. */
export function bar(fraction: number, width = 24): string {
  const filled = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8);
  const rest = filled % 8;
  const bars = "█".repeat(Math.floor(filled / 8)) + (rest > 0 ? eighths.charAt(rest) : "");
  return bars + "░".repeat(width - bars.length);
}

export const count = (value: number): string => Math.round(value).toLocaleString("en-US");

export const percent = (fraction: number): string => `${Math.floor(Math.min(1, fraction) * 100)} %`.padStart(5);

/** Milliseconds for people. */
export function seconds(durationMs: number): string {
  if (durationMs < 60_000) return `${(durationMs / 1000).toFixed(1)} s`;
  const wholeSeconds = Math.round(durationMs / 1000);
  return `${Math.floor(wholeSeconds / 60)} min ${wholeSeconds % 60} s`;
}

/** Bytes for people. */
export function bytes(sizeBytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, sizeBytes)) / 3));
  const value = sizeBytes / 1000 ** power;
  return `${power === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[power]}`;
}
