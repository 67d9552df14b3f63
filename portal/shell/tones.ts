import type { DatabaseState, TaskState } from "../../contracts/lifecycle.ts";
import type { ServiceStatus } from "../../contracts/wire.ts";
import type { Tone } from "./state-badge.tsx";

/** How each state of the wire looks. */

export const serviceTones: Record<ServiceStatus["status"], Tone> = { Online: "good", Offline: "warning", Stopped: "paused" };

export const taskTones: Record<TaskState, Tone> = {
  Queued: "waiting",
  Running: "active",
  Canceling: "active",
  Canceled: "ended",
  Succeeded: "good",
  Failed: "bad",
  FailedInputValidation: "bad",
  Faulted: "bad",
  Unknown: "unknown",
};

export const databaseTones: Record<DatabaseState, Tone> = {
  UNDEFINED: "waiting",
  CONFIGURING: "active",
  INITIALIAZING: "active",
  STARTING: "active",
  RUNNING: "active",
  READY_TO_COMPLETE: "good",
  COMPLETING: "active",
  COMPLETE: "good",
  CANCELLING: "active",
  CANCELLED: "ended",
  FAILED: "bad",
};
