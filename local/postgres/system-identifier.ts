import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile, open } from "node:fs/promises";
import { join } from "node:path";

/**
 * Gives a stopped data folder a system identifier of its own. Copies of one template would share it, and two servers with the same
 * identifier look like one server (or a server and its standby) to everything that compares them.
 *
 * The identifier is the first field of `global/pg_control`, whose last field is a CRC-32C, and it stands in the first page header of each WAL segment
 * (`ControlFileData` in pg_control.h, `XLogLongPageHeaderData` in xlog_internal.h; the same in PostgreSQL 9.4 to 18).
 */
export async function renewSystemIdentifier(dataDir: string): Promise<void> {
  const identifier = randomBytes(8);
  identifier[7] = (identifier[7] ?? 0) & 0x7f; // PostgreSQL shows it as a signed number in places
  await patchControlFile(join(dataDir, "global", "pg_control"), identifier);
  const walFolder = join(dataDir, "pg_wal");
  for (const name of await readdir(walFolder)) {
    if (/^[0-9A-F]{24}$/.test(name)) await patchWalSegment(join(walFolder, name), identifier);
  }
}

async function patchControlFile(path: string, identifier: Buffer): Promise<void> {
  const control = await readFile(path);
  const crcOffset = findCrc(control);
  identifier.copy(control, 0);
  control.writeUInt32LE(crc32c(control.subarray(0, crcOffset)), crcOffset);
  await writeFile(path, control); // keeps owner and mode
}

/** The struct has another length in each version; its CRC proves the place. */
function findCrc(control: Buffer): number {
  for (let offset = 64; offset <= 508; offset += 4) {
    if (crc32c(control.subarray(0, offset)) === control.readUInt32LE(offset)) return offset;
  }
  throw new Error("pg_control has no valid checksum: the template data folder is damaged, delete it");
}

const systemIdentifierOffset = 24; // after the short page header

async function patchWalSegment(path: string, identifier: Buffer): Promise<void> {
  const segment = await open(path, "r+");
  try {
    await segment.write(identifier, 0, identifier.length, systemIdentifierOffset);
  } finally {
    await segment.close();
  }
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C (Castagnoli), the one PostgreSQL uses; Node has only the other polynomial. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crcTable[(crc ^ byte) & 0xff] ?? 0) ^ (crc >>> 8);
  return ~crc >>> 0;
}
