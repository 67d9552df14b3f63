/** Numbers as people read them. Everything shown passes through here, so that one thing always looks the same. */

const wholeNumber = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const compactNumber = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const dateTime = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** What stands where there is no value. */
export const NOTHING = "–";

export const formatCount = (value: number): string => wholeNumber.format(value);

/** Short, for axes and tiles: 12.3K. */
export const formatShort = (value: number): string => compactNumber.format(value);

const byteUnits = ["B", "KB", "MB", "GB", "TB", "PB"] as const;

/** Bytes in steps of 1,024, three digits at most: 1.21 GB. */
export function formatBytes(bytes: number): string {
  const step = bytes < 1 ? 0 : Math.min(byteUnits.length - 1, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** step;
  const digits = step === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${byteUnits[step]}`;
}

export const formatBytesPerSecond = (bytesPerSecond: number): string => `${formatBytes(bytesPerSecond)}/s`;

export const formatPerSecond = (perSecond: number): string =>
  `${perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : formatCount(perSecond)}/s`;

/** A span of time with its two largest units: 2 h 5 min. */
export function formatDuration(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return twoUnits(whole, 60, "min", 1, "s");
  if (whole < 86_400) return twoUnits(whole, 3600, "h", 60, "min");
  return twoUnits(whole, 86_400, "d", 3600, "h");
}

function twoUnits(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % large) / small);
  return `${Math.floor(seconds / large)} ${largeName}${rest > 0 ? ` ${rest} ${smallName}` : ""}`;
}

export const formatDateTime = (iso: string | null | undefined): string => (iso ? dateTime.format(new Date(iso)) : NOTHING);

/** The time of day, 14:05:09. By hand: tables of thousands of rows show three of them in each. */
export function formatTime(iso: string | null | undefined): string {
  if (!iso) return NOTHING;
  const time = new Date(iso);
  return [time.getHours(), time.getMinutes(), time.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":");
}

/** Seconds between two moments; `until` null means now. Undefined when it never began. */
export function secondsBetween(from: string | null, until: string | null, nowMs: number): number | undefined {
  if (from === null) return undefined;
  return Math.max(0, ((until === null ? nowMs : Date.parse(until)) - Date.parse(from)) / 1000);
}

export const formatPercent = (share: number): string => {
  const percent = Math.min(1, Math.max(0, share)) * 100;
  // 100 % is said when it is done, not when it is rounded.
  return `${percent > 99 && percent < 100 ? "99" : percent.toFixed(0)}%`;
};
