import { RestError } from "@azure/data-tables";
import { z } from "zod";
import { type Page } from "../../contracts/wire.ts";
import { type RowPage } from "../store/document-table.ts";
import { ApiError } from "./api-error.ts";
import { type Answer, type Call } from "./endpoint.ts";

/** A list answers at most this many items at once. */
const PAGE_ITEMS_MAX = 100;

const SKIP_TOKEN = "$skipToken";

/**
 * Answers one page of a list, with an absolute link to the next one.
 * @param read reads a page of rows from where the last one ended
 */
export async function answerPage<T>(
  call: Call,
  read: (sizeMax: number, continuation: string | undefined) => Promise<RowPage<T>>,
  view: (value: T) => object,
): Promise<Answer> {
  const page = await readPage(() => read(PAGE_ITEMS_MAX, continuationOf(call)));
  const body: Page<object> = {
    value: page.rows.map((row) => view(row.value)),
    ...(page.continuation === undefined ? {} : { nextLink: nextLink(call, page.continuation) }),
  };
  return { status: 200, body };
}

/** What the table service calls a continuation: base64 of a JSON object with two keys. */
const Continuation = z.object({
  nextPartitionKey: z.string().regex(/^[\x21-\x7e]+$/),
  nextRowKey: z
    .string()
    .regex(/^[\x21-\x7e]+$/)
    .optional(),
});

/** @throws ApiError (400) when the token, which comes from outside, cannot be one of ours */
function continuationOf(call: Call): string | undefined {
  const token = call.query(SKIP_TOKEN);
  if (token === undefined) return undefined;
  try {
    const json = Buffer.from(token, "base64url").toString("utf8");
    return Buffer.from(JSON.stringify(Continuation.parse(JSON.parse(json)))).toString("base64");
  } catch (error) {
    throw notOurs(error);
  }
}

const notOurs = (cause: unknown): ApiError =>
  new ApiError("InvalidRequest", { detail: `${SKIP_TOKEN} is not one of this list.`, remedy: "Follow nextLink as it is.", cause });

/** The table service refuses a token that it never gave. */
async function readPage<T>(read: () => Promise<RowPage<T>>): Promise<RowPage<T>> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof RestError && error.statusCode === 400) throw notOurs(error);
    throw error;
  }
}

function nextLink(call: Call, continuation: string): string {
  const link = new URL(call.base + call.path);
  link.searchParams.set("api-version", call.apiVersion);
  const taskType = call.query("taskType");
  if (taskType !== undefined) link.searchParams.set("taskType", taskType);
  link.searchParams.set(SKIP_TOKEN, Buffer.from(continuation, "base64").toString("base64url"));
  return link.href;
}
