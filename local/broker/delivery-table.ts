import { type RheaDelivery, type UnsettledDeliveries } from "./rhea-internals.ts";

/**
 * Takes the place of rhea's ring buffer of unsettled deliveries. The ring frees from its head only, so one message that
 * is held for hours (the start command of a migration) would block all slots behind it.
 */
export class DeliveryTable implements UnsettledDeliveries {
  readonly #capacity: number;
  readonly #deliveries = new Map<number, RheaDelivery>();
  /** Those that may be finished: looking through all that are held, for each frame, would cost too much. */
  readonly #candidates = new Set<RheaDelivery>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  available(): number {
    return this.#capacity - this.#deliveries.size;
  }

  push(delivery: RheaDelivery): void {
    this.#deliveries.set(delivery.id, delivery);
  }

  by_id(id: number): RheaDelivery | undefined {
    return this.#deliveries.get(id);
  }

  mayBeFinished(delivery: RheaDelivery): void {
    this.#candidates.add(delivery);
  }

  pop_if(isFinished: (delivery: RheaDelivery) => boolean): void {
    for (const delivery of this.#candidates) {
      if (!isFinished(delivery)) continue;
      this.#deliveries.delete(delivery.id);
      this.#candidates.delete(delivery);
    }
  }
}
