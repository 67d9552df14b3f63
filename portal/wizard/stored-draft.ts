import type { ServiceRef } from "../api/resources.ts";
import { emptyDraft, type Draft } from "./draft.ts";

/** Raised when a draft of an older page could be misread. */
const draftVersion = 1;

const storageKey = ({ subscriptionId, resourceGroup, service }: ServiceRef): string =>
  `pgdms.draft.${draftVersion}.${subscriptionId}/${resourceGroup}/${service}`;

/** What was typed the last time for this service; undefined when there is nothing. */
export function storedDraft(ref: ServiceRef): Draft | undefined {
  const text = localStorage.getItem(storageKey(ref));
  if (text === null) return undefined;
  try {
    return { ...emptyDraft(undefined), ...(JSON.parse(text) as Draft) };
  } catch {
    return undefined;
  }
}

export function storeDraft(ref: ServiceRef, draft: Draft): void {
  try {
    localStorage.setItem(storageKey(ref), JSON.stringify(draft));
  } catch {
    // The storage is full or forbidden: the draft then lives as long as the page.
  }
}

export const forgetDraft = (ref: ServiceRef): void => localStorage.removeItem(storageKey(ref));
