import { withConnection } from "../postgres/connect.ts";
import { readEncoding } from "../postgres/encoding.ts";
import { type Server } from "../postgres/server.ts";

/** What test_decoding writes in: the walsender converts pgoutput's texts to the client's encoding, but not a plugin's own text. */
export const readServerEncoding = (source: Server): Promise<string> => withConnection(source, { purpose: "encoding" }, readEncoding);

/** logical_decoding_work_mem came with it. */
const DECODING_MEMORY_SINCE = 130_000;

/** What logical decoding may hold by itself: the server's default, and as much as speeds up a transaction of millions of rows. */
const DECODING_MEMORY_MB = { min: 64, max: 1024 };

/**
 * How much memory the source may use for decoding this stream. Larger transactions go to its disk and are read again, which
 * doubles their time. Half of shared_buffers is what a server bears that was sized for its work; never less than its own
 * setting.
 * @returns undefined where the source has no such setting.
 */
export async function decodingMemory(source: Server, versionNum: number, wantedMB = 0): Promise<number | undefined> {
  if (versionNum < DECODING_MEMORY_SINCE) return undefined;
  if (wantedMB > 0) return wantedMB;
  return withConnection(source, { purpose: "memory" }, async (client) => {
    const { rows } = await client.query<{ buffers: string; own: string }>(
      `SELECT (pg_size_bytes(current_setting('shared_buffers')) / 1048576)::text AS buffers,
              (pg_size_bytes(current_setting('logical_decoding_work_mem')) / 1048576)::text AS own`,
    );
    const { min, max } = DECODING_MEMORY_MB;
    return Math.max(min, Number(rows[0]?.own ?? 0), Math.min(max, Math.floor(Number(rows[0]?.buffers ?? 0) / 2)));
  });
}
