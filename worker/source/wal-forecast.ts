import { type WalLimitedBy } from "../../contracts/reports.ts";
import { type Settings } from "../../contracts/settings.ts";

/** The WAL that a slot holds on its source, judged: against what it is measured, how fast it grows, and what follows. Pure. */

const MEGABYTE = 1024 * 1024;

export interface WalLimit {
  readonly bytes: number;
  readonly by: WalLimitedBy;
}

/** What the source says about the room that the slot has. */
interface WalRoom {
  readonly walHeldBytes: number;
  /** Bytes that may still be written before the slot is in danger. Negative when it is; null when unlimited, lost or not known. */
  readonly safeWalSizeBytes: number | null;
  /** max_slot_wal_keep_size; null when unlimited or not known. */
  readonly slotWalKeepBytes: number | null;
}

export type WalSettings = Pick<Settings, "walBudgetMB" | "sourceWalDiskMB" | "onWalBudget">;

/**
 * The smallest of the limits that are known. The source's own comes from safe_wal_size where it has one: that counts whole
 * segments and wal_keep_size, as the server does when it gives a slot up.
 */
export function walLimit({ walHeldBytes, safeWalSizeBytes, slotWalKeepBytes }: WalRoom, settings: WalSettings): WalLimit | null {
  const ofServer = safeWalSizeBytes === null ? slotWalKeepBytes : Math.max(0, walHeldBytes + safeWalSizeBytes);
  const limits: WalLimit[] = [];
  if (settings.walBudgetMB > 0) limits.push({ bytes: settings.walBudgetMB * MEGABYTE, by: "walBudget" });
  if (ofServer !== null) limits.push({ bytes: ofServer, by: "maxSlotWalKeepSize" });
  if (settings.sourceWalDiskMB > 0) limits.push({ bytes: settings.sourceWalDiskMB * MEGABYTE, by: "sourceWalDisk" });
  return limits.reduce<WalLimit | null>((least, limit) => (least === null || limit.bytes < least.bytes ? limit : least), null);
}

/** How much was held at a moment. */
export interface WalPoint {
  readonly timeMs: number;
  readonly walHeldBytes: number;
}

/** A rate is taken over this long: WAL comes in bursts (checkpoints, batch jobs), and the slot lets it go in steps. */
export const GROWTH_WINDOW_MS = 5 * 60_000;

/** Before it was watched for so long a rate would be a guess. */
const GROWTH_SPAN_MS_MIN = 20_000;

/** The points that still count, the new one among them. */
export const withPoint = (points: readonly WalPoint[], point: WalPoint): WalPoint[] => [
  ...points.filter(({ timeMs }) => timeMs > point.timeMs - GROWTH_WINDOW_MS && timeMs < point.timeMs),
  point,
];

/** The slope of the line that fits the points best (least squares), so that no single point decides. */
export function growthPerSecond(points: readonly WalPoint[]): number | null {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || last.timeMs - first.timeMs < GROWTH_SPAN_MS_MIN) return null;
  const seconds = points.map(({ timeMs }) => (timeMs - first.timeMs) / 1000);
  const bytes = points.map(({ walHeldBytes }) => walHeldBytes - first.walHeldBytes);
  const [meanSeconds, meanBytes] = [mean(seconds), mean(bytes)];
  const along = sum(seconds.map((at, n) => (at - meanSeconds) * ((bytes[n] ?? 0) - meanBytes)));
  return along / sum(seconds.map((at) => (at - meanSeconds) ** 2));
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);
const mean = (numbers: readonly number[]): number => sum(numbers) / numbers.length;

/** What is further away than this is no forecast. */
const FORECAST_SECONDS_MAX = 30 * 24 * 3600;

/** When the limit is reached if it goes on like this. */
export function fullInSeconds(walHeldBytes: number, limit: WalLimit | null, growth: number | null): number | null {
  if (limit === null) return null;
  if (walHeldBytes >= limit.bytes) return 0;
  if (growth === null || growth <= 0) return null;
  const seconds = (limit.bytes - walHeldBytes) / growth;
  return seconds > FORECAST_SECONDS_MAX ? null : Math.round(seconds);
}

/** Shares of the limit at which there is something to tell, in percent. */
export const WAL_LEVELS = [50, 80] as const;
export type WalLevel = (typeof WAL_LEVELS)[number];

/** A level that was passed counts until the share is so far below it again: one that swings around it is told once. */
const LEVEL_MARGIN = 10;

/** Which levels are passed now. */
export function levelsPassed(walHeldBytes: number, limit: WalLimit | null, passed: ReadonlySet<WalLevel>): Set<WalLevel> {
  if (limit === null) return new Set();
  const percent = limit.bytes === 0 ? 100 : (100 * walHeldBytes) / limit.bytes;
  return new Set(WAL_LEVELS.filter((level) => percent >= level - (passed.has(level) ? LEVEL_MARGIN : 0)));
}

/** Whether the budget is used up. Unlike a level it is not held: what is done about it is done at once. */
export const isOverBudget = (walHeldBytes: number, { walBudgetMB }: WalSettings): boolean =>
  walBudgetMB > 0 && walHeldBytes >= walBudgetMB * MEGABYTE;

const LIMIT_NAMES: Record<WalLimitedBy, string> = {
  walBudget: "walBudgetMB",
  maxSlotWalKeepSize: "max_slot_wal_keep_size of the source",
  sourceWalDisk: "sourceWalDiskMB",
};

/** The figures in words, for a warning. */
export function sayWal(walHeldBytes: number, limit: WalLimit | null, fullIn: number | null): string {
  if (limit === null) return `It is ${sayMegabytes(walHeldBytes)}.`;
  const forecast = fullIn === null || fullIn === 0 ? "" : ` At this rate it is full in ${saySeconds(fullIn)}.`;
  return `It is ${sayMegabytes(walHeldBytes)} of ${sayMegabytes(limit.bytes)} (${LIMIT_NAMES[limit.by]}).${forecast}`;
}

const sayMegabytes = (bytes: number): string => `${Math.round(bytes / MEGABYTE).toLocaleString("en-US")} MB`;

/** "3 h 20 min": no finer than the forecast is. */
export function saySeconds(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
