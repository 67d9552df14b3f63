import { RestError, type TableClient, type TransactionAction } from "@azure/data-tables";
import { type z } from "zod";
import { fromChunks, toChunks } from "./document.ts";
import { type RowKey } from "./keys.ts";
import { LostRace } from "./races.ts";

/** One row as it was read or written: its value, and the tag that a later write must still find. */
export interface Row<T> {
  readonly key: RowKey;
  readonly tag: string;
  readonly value: T;
}

export interface RowPage<T> {
  readonly rows: readonly Row<T>[];
  /** Where the next page begins; undefined at the end. */
  readonly continuation: string | undefined;
}

type Columns = Readonly<Record<string, string | number | boolean>>;
type Entity = Record<string, unknown> & { partitionKey?: string; rowKey?: string; etag?: string };

/** Limits of one transaction: 100 rows of one partition, 4 MiB in all (half of it left for the envelope). */
const TRANSACTION_ROWS_MAX = 100;
const TRANSACTION_CHARS_MAX = 1_000_000;

/** The service gives at most this many rows at once. */
const PAGE_ROWS_MAX = 1000;

const failedWith = (error: unknown, ...statusCodes: number[]): boolean =>
  error instanceof RestError && error.statusCode !== undefined && statusCodes.includes(error.statusCode);

/**
 * A table whose rows are documents: one JSON value, parsed by its schema when read, and a few columns beside it to
 * filter by. The table is made at its first use.
 */
export class DocumentTable<T> {
  readonly #client: TableClient;
  readonly #schema: z.ZodType<T>;
  readonly #columns: (value: T) => Columns;
  #ready: Promise<void> | undefined;

  constructor(client: TableClient, schema: z.ZodType<T>, columns: (value: T) => Columns = () => ({})) {
    this.#client = client;
    this.#schema = schema;
    this.#columns = columns;
  }

  async get(key: RowKey): Promise<Row<T> | undefined> {
    await this.#open();
    try {
      return this.#row(await this.#client.getEntity<Entity>(key.partitionKey, key.rowKey));
    } catch (error) {
      if (failedWith(error, 404)) return undefined;
      throw error;
    }
  }

  /** @throws LostRace when the row exists */
  async create(key: RowKey, value: T): Promise<Row<T>> {
    await this.#open();
    const { etag } = await this.#racing(key, () => this.#client.createEntity(this.#entity(key, value)));
    return { key, tag: etag ?? "", value };
  }

  /** @throws LostRace when the row is no longer as it was read */
  async replace(row: Row<T>, value: T): Promise<Row<T>> {
    await this.#open();
    const { etag } = await this.#racing(row.key, () =>
      this.#client.updateEntity(this.#entity(row.key, value), "Replace", { etag: row.tag }),
    );
    return { key: row.key, tag: etag ?? "", value };
  }

  /** @throws LostRace when the row is no longer as it was read */
  async delete(row: Row<T>): Promise<void> {
    await this.#open();
    await this.#racing(row.key, () => this.#client.deleteEntity(row.key.partitionKey, row.key.rowKey, { etag: row.tag }));
  }

  /** Writes the row whether it exists or not. */
  async upsert(key: RowKey, value: T): Promise<void> {
    await this.#open();
    await this.#client.upsertEntity(this.#entity(key, value), "Replace");
  }

  /** Writes many rows of one partition, whether they exist or not; up to 100 in one transaction. */
  async upsertAll(rows: readonly { readonly key: RowKey; readonly value: T }[]): Promise<void> {
    await this.#open();
    for (const actions of transactions(rows.map(({ key, value }) => this.#entity(key, value))))
      await this.#client.submitTransaction(actions);
  }

  /** Removes rows, however they are by now, and those that are gone already. */
  async removeAll(keys: readonly RowKey[]): Promise<void> {
    await this.#open();
    for (const { partitionKey, rowKey } of keys) {
      try {
        await this.#client.deleteEntity(partitionKey, rowKey);
      } catch (error) {
        if (!failedWith(error, 404)) throw error;
      }
    }
  }

  /** Removes every row of a partition. */
  async deletePartition(partitionKey: string): Promise<void> {
    await this.#open();
    const filter = `PartitionKey eq '${partitionKey}'`;
    const keys = this.#client.listEntities<Entity>({ queryOptions: { filter, select: ["PartitionKey", "RowKey"] } });
    for await (const page of keys.byPage({ maxPageSize: TRANSACTION_ROWS_MAX })) {
      const actions = page.map((entity): TransactionAction => ["delete", { partitionKey, rowKey: entity.rowKey ?? "" }]);
      if (actions.length > 0) await this.#client.submitTransaction(actions);
    }
  }

  /** All rows that a filter (OData; values must be keys or words, so that they need no quoting) lets through. */
  async list(filter: string): Promise<Row<T>[]> {
    await this.#open();
    const rows: Row<T>[] = [];
    const pages = this.#client.listEntities<Entity>({ queryOptions: { filter } }).byPage({ maxPageSize: PAGE_ROWS_MAX });
    for await (const page of pages) for (const entity of page) rows.push(this.#row(entity));
    return rows;
  }

  /** One page of `list`. Bad continuation texts are refused by the service with 400. */
  async page(filter: string, sizeMax: number, continuation: string | undefined): Promise<RowPage<T>> {
    await this.#open();
    const pages = this.#client.listEntities<Entity>({ queryOptions: { filter } }).byPage({
      maxPageSize: sizeMax,
      ...(continuation === undefined ? {} : { continuationToken: continuation }),
    });
    const first = await pages.next();
    const page = first.value as (Entity[] & { continuationToken?: string }) | undefined;
    return { rows: (page ?? []).map((entity) => this.#row(entity)), continuation: page?.continuationToken };
  }

  #open(): Promise<void> {
    this.#ready ??= this.#client.createTable().catch((error: unknown) => {
      this.#ready = undefined; // the next use tries again
      throw error;
    });
    return this.#ready;
  }

  #entity(key: RowKey, value: T): RowKey & Record<string, string | number | boolean> {
    return { ...this.#columns(value), ...toChunks(value), ...key };
  }

  #row(entity: Entity): Row<T> {
    const key = { partitionKey: entity.partitionKey ?? "", rowKey: entity.rowKey ?? "" };
    return { key, tag: entity.etag ?? "", value: this.#schema.parse(fromChunks(entity)) };
  }

  async #racing<R>(key: RowKey, write: () => Promise<R>): Promise<R> {
    try {
      return await write();
    } catch (error) {
      if (failedWith(error, 404, 409, 412)) throw new LostRace(`${this.#client.tableName} ${key.rowKey}`, { cause: error });
      throw error;
    }
  }
}

function transactions(entities: readonly (RowKey & Record<string, string | number | boolean>)[]): TransactionAction[][] {
  const groups: TransactionAction[][] = [];
  let chars = 0;
  for (const entity of entities) {
    const size = JSON.stringify(entity).length;
    const group = groups.at(-1);
    if (group === undefined || group.length === TRANSACTION_ROWS_MAX || chars + size > TRANSACTION_CHARS_MAX) {
      groups.push([["upsert", entity, "Replace"]]);
      chars = size;
    } else {
      group.push(["upsert", entity, "Replace"]);
      chars += size;
    }
  }
  return groups;
}
