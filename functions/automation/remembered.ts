import { type ControlPlane } from "../control-plane.ts";
import { ApiError, errorBody } from "../http/api-error.ts";
import { type Row } from "../store/document-table.ts";
import { LostRace, retryingRaces } from "../store/races.ts";
import { requestKey, type RequestRow } from "../store/requests.ts";
import { type Operation, type RequestMessage } from "./messages.ts";

export type Outcome = NonNullable<RequestRow["outcome"]>;

/**
 * Runs a request once for its correlation id. One that ended is answered as it was; one that was cut short is run again,
 * which every operation bears: what was done is found done.
 */
export async function onceFor(plane: ControlPlane, message: RequestMessage, run: () => Promise<Outcome>): Promise<Outcome> {
  if (readsOnly(message.operation)) return run();
  const row = await retryingRaces(() => begin(plane, message));
  if (row.value.operation !== message.operation || row.value.resourceId !== message.resourceId) return usedAlready(message, row.value);
  if (row.value.outcome) return row.value.outcome;
  const outcome = await run();
  try {
    await plane.store.requests.replace(row, { ...row.value, outcome });
    return outcome;
  } catch (error) {
    if (!(error instanceof LostRace)) throw error;
    return (await plane.store.requests.get(row.key))?.value.outcome ?? outcome; // it came twice at once: one answer for both
  }
}

/** What reads only is read anew each time. */
const readsOnly = (operation: Operation): boolean => /-(get|list|list-by-group|check-status)$/.test(operation);

async function begin({ store, now }: ControlPlane, { correlationId, operation, resourceId }: RequestMessage): Promise<Row<RequestRow>> {
  const key = requestKey(correlationId);
  const value = { correlationId, operation, resourceId, receivedOn: now().toISOString(), outcome: null };
  return (await store.requests.get(key)) ?? store.requests.create(key, value);
}

const usedAlready = ({ correlationId }: RequestMessage, known: RequestRow): Outcome => ({
  status: 409,
  body: {
    ...errorBody(
      new ApiError("Conflict", {
        detail: `The correlation id ${correlationId} belongs to ${known.operation ?? "a request"} of ${known.resourceId ?? "another resource"}.`,
        remedy: "Give each request a correlation id of its own.",
      }),
    ),
  },
});
