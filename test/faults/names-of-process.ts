import { readFileSync } from "node:fs";
import { answerNames, type NameAnswer } from "./names.ts";

// Loaded by a process of the product before its own program: its names are in a file that a test writes.

const file = process.env["PGDMS_TEST_NAMES"];
if (file === undefined) throw new Error("PGDMS_TEST_NAMES is not set");

answerNames((hostname) => (JSON.parse(readFileSync(file, "utf8")) as Record<string, NameAnswer>)[hostname]);
