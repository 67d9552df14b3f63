/**
 * Parts are left that cannot be loaded under this snapshot any more: take a new one and load what is left. What was
 * loaded stays, except for tables of which only some parts were.
 */
export class SnapshotLost extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "SnapshotLost";
  }
}
