import { type ReportedError } from "../contracts/errors.ts";
import { interruptionOf } from "./incremental-sync/sync-progress.ts";
import { failureCode } from "./postgres/failures.ts";
import { type ProgressBoard } from "./progress-board.ts";

/** invalid_password and invalid_authorization_specification (PostgreSQL manual, appendix A). */
const REFUSED_STATES = new Set(["28P01", "28000"]);

/** A login that the server refused: wrong for ever, or about to be mended. */
export const isRefusedLogin = (thrown: unknown): boolean => REFUSED_STATES.has(failureCode(thrown) ?? "");

/** Past that the password is not being changed: it is wrong. */
const REFUSED_MS_MAX = 15 * 60_000;

/** Longer than any wait between two attempts: whoever is refused after it was let in between. */
const LET_IN_MS = 2 * 60_000;

/** Findings of refused logins are about this. */
const SUBJECT = "login";

/**
 * Bears logins that are refused while a migration is under way: a password that is being changed is for a while either on
 * the server or in the secret store only. It is read anew for each connection.
 */
export class LoginPatience {
  readonly #board: ProgressBoard;
  #sinceMs = 0;
  #lastMs = -Infinity;
  #told: ReportedError | undefined;

  constructor(board: ProgressBoard) {
    this.#board = board;
  }

  /** Whether what was thrown is a refused login that may still mend itself. Tells of the first. */
  bears(thrown: unknown, nowMs = Date.now()): boolean {
    if (!isRefusedLogin(thrown)) return false;
    if (nowMs - this.#lastMs > LET_IN_MS) this.#sinceMs = nowMs;
    this.#lastMs = nowMs;
    if (this.#told === undefined) this.#board.finding((this.#told = interruptionOf(thrown)), SUBJECT);
    return nowMs - this.#sinceMs < REFUSED_MS_MAX;
  }

  /** Both servers took the login. */
  over(): void {
    if (this.#told) this.#board.resolve(this.#told, SUBJECT);
    this.#told = undefined;
  }
}
