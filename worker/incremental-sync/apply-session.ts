import type pg from "pg";
import { connect, type ConnectOptions } from "../postgres/connect.ts";
import { type RawSession } from "../postgres/raw-session.ts";
import { type Server } from "../postgres/server.ts";
import { type StepResult } from "../postgres/wire/exchanges.ts";
import { type CheckedStep } from "./net-steps.ts";
import { requireSuccess } from "./step-failures.ts";

/** Prepared statements of one session; past that they are all dropped, for the memory that they hold on the target. */
const STATEMENTS_MAX = 2_000;

/**
 * Opens the target's session that changes are applied in. Keys may be of types whose equality is not in pg_catalog (ltree,
 * hstore, citext): the schemas of such operators are searched after it, so that nothing of PostgreSQL's own is hidden.
 * @throws MigrationError as connect does.
 */
export async function openApplySession(target: Server, options: ConnectOptions): Promise<pg.Client> {
  const client = await connect(target, options);
  try {
    await client.query(
      `SELECT set_config('search_path', (SELECT string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname <> 'pg_catalog', n.nspname)
         FROM pg_namespace n WHERE EXISTS (SELECT FROM pg_operator o WHERE o.oprnamespace = n.oid AND o.oprname = '=')), false)`,
    );
    return client;
  } catch (thrown) {
    await client.end().catch(() => undefined);
    throw thrown;
  }
}

/** A session of the target that changes are applied in: runs steps, and says what is wrong in the words of a migration. */
export class ApplySession {
  readonly raw: RawSession;
  readonly #statements = new Set<string>();

  constructor(raw: RawSession) {
    this.raw = raw;
  }

  /** The session has gathered more statements than is good for it: forget them, between two transactions. */
  get isWorn(): boolean {
    return this.#statements.size > STATEMENTS_MAX;
  }

  /** Drops all statements. A new session instead would read the definitions of all tables anew: seconds, where they are thousands. */
  async forgetStatements(): Promise<void> {
    this.#statements.clear();
    await this.raw.forgetStatements();
  }

  /** A transaction is open, whether or not it has failed. */
  get isInTransaction(): boolean {
    return this.raw.transactionStatus !== "I";
  }

  /** Sends the steps in one write and waits once: after an error the server passes the rest over. @returns their results, unchecked. */
  async tryRun(steps: readonly CheckedStep["step"][]): Promise<readonly StepResult[]> {
    for (const step of steps) if ("prepared" in step) this.#statements.add(step.prepared);
    return this.raw.pipeline(steps);
  }

  /** @throws MigrationError ApplyFailed, RowMissingOnTarget, SourceTableChanged; or a transient failure. */
  async run(steps: readonly CheckedStep[]): Promise<void> {
    const results = await this.tryRun(steps.map(({ step }) => step));
    results.forEach((result, n) => requireSuccess(result, steps[n] as CheckedStep));
  }
}
