import { type Migration } from "../migration.ts";
import { connect } from "../postgres/connect.ts";
import { type RestoreOptions } from "../schema/restore-pool.ts";

/** What bringing definitions back needs of a migration. */
export const restoreOptions = (migration: Migration, signal: AbortSignal): RestoreOptions => ({
  connectTarget: () => connect(migration.target, { purpose: `${migration.ownership.taskId.slice(0, 8)} restore` }),
  ownership: migration.ownership,
  indexBuilders: migration.settings.indexBuilders,
  maintenanceWorkMemMB: migration.settings.maintenanceWorkMemMB,
  largeTableMB: migration.settings.largeTablePartMB,
  signal,
});
