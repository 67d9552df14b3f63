import { type BrokerError } from "./errors.ts";
import { type LockedDelivery } from "./dispatcher.ts";
import { type StoredMessage } from "./messages.ts";

/** A receiving link, as the queue logic sees it. */
export interface Consumer {
  readonly mode: "peek-lock" | "receive-and-delete";
  /** How many messages may be delivered right now. */
  credit(): number;
  /** Sends the message; without a lock (receive-and-delete) it has left the queue already. */
  deliver(message: StoredMessage, locked: LockedDelivery | undefined): void;
  /** Closes the link, with the reason. */
  detach(reason: BrokerError): void;
}

type Properties = Readonly<Record<string, unknown>>;

/** How a receiver disposes of a delivery. */
export type Outcome =
  | { readonly kind: "complete" }
  | { readonly kind: "abandon"; readonly properties?: Properties | undefined }
  | { readonly kind: "defer"; readonly properties?: Properties | undefined }
  | {
      readonly kind: "dead-letter";
      readonly reason?: string | undefined;
      readonly description?: string | undefined;
      readonly properties?: Properties | undefined;
    };
