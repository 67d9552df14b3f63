import { setTimeout as sleep } from "node:timers/promises";

/** Somebody else wrote the row between our reading and our writing (409, 412, or it is gone). */
export class LostRace extends Error {
  constructor(what: string, options?: ErrorOptions) {
    super(`${what} was changed by another request`, options);
    this.name = "LostRace";
  }
}

const ATTEMPTS_MAX = 12;
const DELAY_MAX_MS = 150;

/**
 * Runs a read-decide-write again from its reading whenever it lost a race. The delay is random, so that two who collide
 * do not collide again.
 * @throws LostRace after too many attempts
 */
export async function retryingRaces<T>(attempt: () => Promise<T>): Promise<T> {
  for (let number = 1; ; number++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof LostRace) || number === ATTEMPTS_MAX) throw error;
      await sleep(Math.random() * Math.min(DELAY_MAX_MS, 5 * 2 ** number));
    }
  }
}
