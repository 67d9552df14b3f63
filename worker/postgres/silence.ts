import { type Socket } from "node:net";
import pg from "pg";
import { processIdOf } from "./process-id.ts";

interface SilenceLimits {
  /** A session that waits for its server and hears nothing for so long is looked after. */
  readonly silenceMs: number;
  /** How often that is looked at; a verdict needs two looks at the server that say the same. */
  readonly lookMs: number;
  /** A server that answers nobody for so long is away, and the session with it. */
  readonly unreachableMs: number;
  /** Looking must not hang on the very line that is looked at. */
  readonly askMs: number;
}

const LIMITS: SilenceLimits = { silenceMs: 15_000, lookMs: 5_000, unreachableMs: 60_000, askMs: 10_000 };

/** What a session is watched by. */
interface Watched {
  readonly socket: Socket;
  /** Its process on the server. */
  readonly pid: number;
  /** What we send says nothing about the line: it is sent without being asked for. */
  readonly onlyReads: boolean;
  /** How to open another session on the same server; nothing of it is kept. */
  readonly config: () => Promise<pg.ClientConfig>;
  readonly limits: SilenceLimits;
}

const watches = new WeakMap<pg.Client, SilenceWatch>();

/** Watches a connected client for as long as its socket lives. */
export function watchSilence(client: pg.Client, options: Pick<Watched, "config"> & Partial<Pick<Watched, "onlyReads" | "limits">>): void {
  const pid = processIdOf(client) ?? 0;
  const watch = new SilenceWatch({ onlyReads: false, limits: LIMITS, ...options, socket: client.connection.stream as Socket, pid });
  watch.isWaiting = () => "readyForQuery" in client && client.readyForQuery === false;
  watches.set(client, watch);
}

/** For whoever takes a client's socket over: says by itself when it is the server's turn. */
export function waitsWhen(client: pg.Client, isWaiting: () => boolean): void {
  const watch = watches.get(client);
  if (watch) watch.isWaiting = isWaiting;
}

/** What the server says of a session that waits for it. */
type Verdict = "working" | "waitingForUs" | "gone" | "unknown" | "unreachable";

/**
 * Notices a connection that is open at our end only: nothing arrives and nothing fails, as behind a firewall or a proxy that
 * has forgotten it. TCP's keep-alives do not see that when something on the way answers them, and a limit of time cannot be
 * set for statements that may run for hours. So the server is asked on another connection: a session whose server has no such
 * process, or one that itself waits for us, is cut off; one that works or waits for a lock is left alone.
 */
class SilenceWatch {
  /** Whether it is the server's turn. */
  isWaiting: () => boolean = () => false;
  readonly #watched: Watched;
  readonly #timer: NodeJS.Timeout;
  #movedBytes = 0;
  #quietSinceMs = Date.now();
  #unreachableSinceMs: number | undefined;
  #lastVerdict: Verdict = "unknown";
  #isAsking = false;

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#timer = setInterval(() => void this.#look(), watched.limits.lookMs);
    this.#timer.unref();
    watched.socket.once("close", () => clearInterval(this.#timer));
  }

  async #look(): Promise<void> {
    const movedBytes = this.#moved();
    if (movedBytes !== this.#movedBytes || !this.isWaiting()) {
      this.#movedBytes = movedBytes;
      this.#quietSinceMs = Date.now();
      this.#unreachableSinceMs = undefined;
      this.#lastVerdict = "unknown";
      return;
    }
    if (this.#isAsking || Date.now() - this.#quietSinceMs < this.#watched.limits.silenceMs) return;
    this.#isAsking = true;
    try {
      this.#judge(await askServer(this.#watched), movedBytes);
    } finally {
      this.#isAsking = false;
    }
  }

  #moved(): number {
    const { socket, onlyReads } = this.#watched;
    return socket.bytesRead + (onlyReads ? 0 : socket.bytesWritten - socket.writableLength);
  }

  #judge(verdict: Verdict, movedBytes: number): void {
    const { socket } = this.#watched;
    if (socket.destroyed || this.#moved() !== movedBytes) return;
    if (verdict === "unreachable") this.#unreachableSinceMs ??= Date.now();
    else this.#unreachableSinceMs = undefined;
    const isAway = this.#unreachableSinceMs !== undefined && Date.now() - this.#unreachableSinceMs > this.#watched.limits.unreachableMs;
    const isDead = verdict === this.#lastVerdict && (verdict === "gone" || verdict === "waitingForUs");
    this.#lastVerdict = verdict;
    if (isDead || isAway) socket.destroy(new SilentConnection(isAway ? "the server answers nobody" : "the server does not wait for it"));
  }
}

/** A connection on which nothing arrived and nothing failed. */
class SilentConnection extends Error {
  readonly code = "ETIMEDOUT";
  constructor(why: string) {
    super(`the connection was silent, and ${why}`);
    this.name = "SilentConnection";
  }
}

interface Activity {
  readonly state: string | null;
  readonly wait_event?: string | null;
}

async function askServer({ config, pid, limits: { askMs } }: Watched): Promise<Verdict> {
  try {
    const client = new pg.Client({ ...(await config()), connectionTimeoutMillis: askMs, query_timeout: askMs });
    client.on("error", () => undefined);
    try {
      await client.connect();
      // The view's columns differ between versions; what is not there is undefined.
      const { rows } = await client.query<{ activity: string }>(
        "SELECT row_to_json(a)::text AS activity FROM pg_catalog.pg_stat_activity a WHERE pid = $1",
        [pid],
      );
      return rows[0] ? verdictOf(JSON.parse(rows[0].activity) as Activity) : "gone";
    } finally {
      client.connection.stream.destroy(); // nothing hangs on it
    }
  } catch (thrown) {
    // A server that refuses one more session is there.
    return thrown instanceof pg.DatabaseError ? "unknown" : "unreachable";
  }
}

/**
 * Waits of a server process whose turn it is not: for what we say, for us to take what it says, and those of a walsender that
 * has nothing more to send (manual, "Wait Events of Type Client" and "… Activity").
 */
const WAITS_FOR_US = new Set([
  "ClientRead",
  "ClientWrite",
  "WalSenderMain",
  "WalSenderWaitForWAL",
  "WalSenderWaitForWal",
  "WalSenderWriteData",
]);

export function verdictOf({ state, wait_event }: Activity): Verdict {
  if (state === null || state === "disabled") return "unknown"; // of another user, or track_activities is off
  if (state.startsWith("idle")) return "waitingForUs";
  return WAITS_FOR_US.has(wait_event ?? "") ? "waitingForUs" : "working";
}
