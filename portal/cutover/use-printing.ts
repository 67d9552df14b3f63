import { useSyncExternalStore } from "react";
import { flushSync } from "react-dom";

let isPrinting = false;

function subscribe(changed: () => void): () => void {
  const query = matchMedia("print");
  // The browser takes its picture right after the event, so the change has to be drawn before the handler ends.
  const set = (printing: boolean) => () => {
    isPrinting = printing;
    flushSync(changed);
  };
  const [before, after] = [set(true), set(false)];
  const matched = () => (query.matches ? before() : after());
  window.addEventListener("beforeprint", before);
  window.addEventListener("afterprint", after);
  query.addEventListener("change", matched);
  return () => {
    window.removeEventListener("beforeprint", before);
    window.removeEventListener("afterprint", after);
    query.removeEventListener("change", matched);
  };
}

/** Whether the page is being put on paper at this moment. */
export const usePrinting = (): boolean => useSyncExternalStore(subscribe, () => isPrinting);
