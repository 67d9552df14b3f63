import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { bundle } from "../../scripts/bundle.ts";
import { type LookupFailure, type NameAnswer } from "./names.ts";

/** The name service of processes that are started with its settings. */
export class NameService {
  /** For the environment of a process. */
  readonly settings: Readonly<Record<string, string>>;
  readonly #file: string;
  readonly #answers: Record<string, NameAnswer> = {};

  private constructor(file: string, preload: string) {
    this.#file = file;
    this.settings = { PGDMS_TEST_NAMES: file, NODE_OPTIONS: `--import ${pathToFileURL(preload).href}` };
  }

  /** Its files are kept in the folder. */
  static async open(folder: string): Promise<NameService> {
    const preload = join(folder, "names.mjs");
    await bundle(join(import.meta.dirname, "names-of-process.ts"), preload, "local");
    return new NameService(join(folder, "names.json"), preload);
  }

  resolve(name: string): void {
    this.#answer(name, { address: "127.0.0.1" });
  }

  /** From now on the name cannot be resolved. Connections that are open stay. */
  fail(name: string, failure: LookupFailure): void {
    this.#answer(name, { failure });
  }

  #answer(name: string, answer: NameAnswer): void {
    this.#answers[name] = answer;
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#answers));
    renameSync(`${this.#file}.new`, this.#file); // never half there
  }
}
