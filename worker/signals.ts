/**
 * Acts once when the signal aborts: at once when it has. An event listener alone would wait for ever then, and an order to stop
 * may come at any moment of the awaits before.
 * @returns takes it back.
 */
export function whenAborted(signal: AbortSignal, act: () => void): () => void {
  if (signal.aborted) act();
  else signal.addEventListener("abort", act, { once: true });
  return () => signal.removeEventListener("abort", act);
}

/** The signal's reason, as something to throw. */
export const reasonOf = ({ reason }: AbortSignal): Error => (reason instanceof Error ? reason : new Error("stopped", { cause: reason }));

/** Rejects with the signal's reason once it aborts. */
export const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise<never>((_resolve, reject) => whenAborted(signal, () => reject(reasonOf(signal))));
