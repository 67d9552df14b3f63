import { type ClientBase } from "pg";

/** What the application has to choose from; read once, rows that are gone meanwhile just match nothing. */
export interface Ranges {
  readonly accounts: number;
  readonly lists: number;
  readonly items: number;
  readonly labels: number;
}

/** A number from 1 to `max`. */
export type Pick = (max: number) => number;

/** Runs one statement and answers how many rows it changed. */
export type Run = (kind: "inserts" | "updates" | "deletes", text: string, values?: readonly unknown[]) => Promise<number>;

/** One thing that users of the application do, as one transaction. */
export interface TransactionKind {
  readonly name: string;
  /** How often, beside the others. */
  readonly weight: number;
  readonly work: (run: Run, pick: Pick, ranges: Ranges) => Promise<void>;
}

export const transactionKinds: readonly TransactionKind[] = [
  {
    name: "add an item",
    weight: 8,
    work: async (run, pick, { lists, labels, accounts }) => {
      const list = pick(lists);
      const title = `New thing ${pick(1_000_000)}`;
      const added = await run(
        "inserts",
        `INSERT INTO items (list_id, position, title, priority, cost)
         SELECT id, 1 + coalesce((SELECT max(position) FROM items WHERE list_id = $1), 0), $2, $3, $4 FROM lists WHERE id = $1 FOR UPDATE`,
        [list, title, pick(9), `${pick(99)}.50`],
      );
      if (added === 0) return;
      await run("inserts", "INSERT INTO item_labels SELECT max(id), $2 FROM items WHERE list_id = $1 ON CONFLICT DO NOTHING", [
        list,
        pick(labels),
      ]);
      await run(
        "inserts",
        `INSERT INTO activity (happened_at, account_id, list_id, kind, details)
         VALUES (clock_timestamp(), $1, $2, 'created', jsonb_build_object('title', $3::text))`,
        [pick(accounts), list, title],
      );
    },
  },
  {
    name: "tick items",
    weight: 10,
    work: async (run, pick, { items }) => {
      const item = pick(items);
      await run("updates", "UPDATE items SET is_done = NOT is_done, progress = 1 WHERE id = $1", [item]);
      await run("updates", "UPDATE items SET progress = random() WHERE id = $1", [pick(items)]);
    },
  },
  {
    // The trigger of items writes to edits, which has no key.
    name: "rename an item",
    weight: 5,
    work: async (run, pick, { items }) => {
      await run("updates", "UPDATE items SET title = 'Renamed ' || $2 || ' ünïcode ✓' WHERE id = $1", [pick(items), pick(1_000_000)]);
    },
  },
  {
    name: "write and edit comments",
    weight: 6,
    work: async (run, pick, { items, accounts }) => {
      const item = pick(items);
      await run(
        "inserts",
        `INSERT INTO comments (item_id, author_id, body)
         SELECT id, $2, repeat(md5($3::text) || E'\\n', $4) FROM items WHERE id = $1 FOR KEY SHARE`,
        [item, pick(accounts), pick(1_000_000), pick(20)],
      );
      // The long ones: once with a new text, once without touching the text that lies out of line.
      const near = `SELECT id FROM comments WHERE id >= $1::uuid AND length(body) > 2000 ORDER BY id LIMIT 1`;
      await run("updates", `UPDATE comments SET likes = likes + 1 WHERE id = (${near})`, [anyUuid(pick)]);
      if (pick(3) === 1)
        await run("updates", `UPDATE comments SET body = body || md5(body), edited_at = now() WHERE id = (${near})`, [anyUuid(pick)]);
    },
  },
  {
    name: "correct the log that has no key",
    weight: 3,
    work: async (run, pick, { items }) => {
      const one = "ctid = (SELECT ctid FROM edits WHERE item_id >= $1 ORDER BY item_id LIMIT 1 FOR UPDATE SKIP LOCKED)";
      await run("updates", `UPDATE edits SET snapshot = (SELECT string_agg(md5(n::text), '') FROM generate_series(1, $2) n) WHERE ${one}`, [
        pick(items),
        pick(400),
      ]);
      await run("updates", `UPDATE edits SET new_title = 'corrected ' || $2 WHERE ${one}`, [pick(items), pick(1_000_000)]);
      if (pick(4) === 1) await run("deletes", `DELETE FROM edits WHERE ${one}`, [pick(items)]);
    },
  },
  {
    // Labels, comments, attachments and reminders go with them.
    name: "delete an item",
    weight: 3,
    work: async (run, pick, { items }) => {
      await run("deletes", "DELETE FROM items WHERE id = $1", [pick(items)]);
    },
  },
  {
    name: "let two items trade places",
    weight: 4,
    work: async (run, pick, { lists }) => {
      await run("updates", "UPDATE items SET position = CASE position WHEN 1 THEN 2 ELSE 1 END WHERE list_id = $1 AND position IN (1, 2)", [
        pick(lists),
      ]);
    },
  },
  {
    // Here the unique key is checked at once, so it takes three steps.
    name: "let two shortcuts trade places",
    weight: 4,
    work: async (run, pick, { accounts }) => {
      const account = 1 + (pick(accounts) % Math.max(1, Math.floor(accounts / 10)));
      await run("updates", "UPDATE shortcuts SET slot = -1 WHERE account_id = $1 AND slot = 1", [account]);
      await run("updates", "UPDATE shortcuts SET slot = 1 WHERE account_id = $1 AND slot = 2", [account]);
      await run("updates", "UPDATE shortcuts SET slot = 2 WHERE account_id = $1 AND slot = -1", [account]);
    },
  },
  {
    name: "move an activity to another partition",
    weight: 3,
    work: async (run, pick, { accounts }) => {
      await run(
        "updates",
        `UPDATE activity SET happened_at = happened_at + interval '3 months'
         WHERE (id, happened_at) = (SELECT id, happened_at FROM activity WHERE account_id = $1 ORDER BY happened_at DESC LIMIT 1)`,
        [pick(accounts)],
      );
    },
  },
  {
    name: "change settings and tags",
    weight: 4,
    work: async (run, pick, { accounts, lists }) => {
      await run(
        "updates",
        `UPDATE accounts SET settings = settings || jsonb_build_object('pageSize', $2::int, 'seen', now()), balance = balance + 0.01 WHERE id = $1`,
        [pick(accounts), pick(200)],
      );
      await run("updates", "UPDATE lists SET tags = tags[1:3] || $2::text, properties = properties - 'sort' WHERE id = $1", [
        pick(lists),
        `tag, "${pick(50)}"`,
      ]);
    },
  },
  {
    name: "change a key",
    weight: 2,
    work: async (run, pick, { items, labels }) => {
      await run(
        "updates",
        `UPDATE item_labels SET label_id = $2 WHERE (item_id, label_id) = (SELECT item_id, label_id FROM item_labels WHERE item_id = $1 LIMIT 1)
         AND NOT EXISTS (SELECT FROM item_labels WHERE item_id = $1 AND label_id = $2)`,
        [pick(items), pick(labels)],
      );
    },
  },
  {
    name: "send an invoice",
    weight: 3,
    work: async (run, pick, { accounts }) => {
      await run(
        "inserts",
        `INSERT INTO billing.invoices (account_id, number, total) VALUES ($1, 'N-' || $2 || clock_timestamp()::text, $3)`,
        [pick(accounts), pick(1_000_000), `${pick(900)}.1250`],
      );
      await run(
        "inserts",
        `INSERT INTO billing."InvoiceLines" SELECT currval('billing.invoices_id_seq'), n, 'Line ' || n, $1, 2.5 FROM generate_series(1, 3) n`,
        [`${pick(30)}.333333`],
      );
    },
  },
  {
    name: "clear many items at once",
    weight: 1,
    work: async (run, pick, { lists }) => {
      const from = pick(lists);
      await run("updates", "UPDATE items SET is_done = true WHERE list_id BETWEEN $1 AND $1 + 15", [from]);
      await run("updates", "UPDATE devices SET last_seen = now(), battery = random() WHERE account_id BETWEEN $1 AND $1 + 15", [from]);
    },
  },
];

/** Some uuid, evenly spread. */
const anyUuid = (pick: Pick): string => `${(pick(0x7fffffff) * 2).toString(16).padStart(8, "0")}-0000-4000-8000-000000000000`;

/** One large transaction: what a nightly job does. */
export async function largeTransaction(client: ClientBase): Promise<number> {
  const { rowCount } = await client.query(
    "UPDATE activity SET details = coalesce(details, '{}') || '{\"reviewed\": true}' WHERE id % 8 = 0 AND happened_at < '2026-07-01Z'",
  );
  return rowCount ?? 0;
}
