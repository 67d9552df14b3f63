import { Heartbeat, HEARTBEAT_INTERVAL_MS } from "../../contracts/reports.ts";
import { encodeKey, encodeNames, type RowKey } from "./keys.ts";

/** The last heartbeat of one worker. */
export const WorkerRow = Heartbeat;
export type WorkerRow = Heartbeat;

/** Workers belong to the queue of a service, and the queue knows the service's name only. */
export const workerKey = ({ serviceName, workerId }: Pick<WorkerRow, "serviceName" | "workerId">): RowKey => ({
  partitionKey: encodeNames(serviceName),
  rowKey: encodeKey(workerId),
});

export const workersOfService = (serviceName: string): string => `PartitionKey eq '${encodeNames(serviceName)}'`;

/** A worker that was silent for three heartbeats counts as gone. */
const SILENT_MS_MAX = 3 * HEARTBEAT_INTERVAL_MS;

export const isAlive = (worker: WorkerRow, now: Date): boolean => now.getTime() - Date.parse(worker.sentAt) <= SILENT_MS_MAX;

/** Workers of all services that may be alive. */
export const workersSince = (now: Date): string => `Timestamp ge datetime'${new Date(now.getTime() - SILENT_MS_MAX).toISOString()}'`;
