import type { Sample } from "./history.ts";

/** Rates are taken over this long: short enough to follow, long enough not to jump. */
const RATE_WINDOW_MS = 15_000;

type Total = "loadedRows" | "loadedBytes" | "appliedChanges" | "walHeldBytes" | "lagBytes";

/** The samples of the last `windowMs`, counted from the newest one. */
function recent(history: readonly Sample[], windowMs: number): readonly Sample[] {
  const newest = history.at(-1);
  return newest ? history.filter(({ timeMs }) => timeMs >= newest.timeMs - windowMs) : [];
}

/** How fast a total grows, per second, over the window; undefined until there are two samples. May be negative for gauges. */
export function ratePerSecond(history: readonly Sample[], total: Total, windowMs = RATE_WINDOW_MS): number | undefined {
  const samples = recent(history, windowMs);
  const first = samples[0];
  const last = samples.at(-1);
  if (!first || !last || last.timeMs === first.timeMs) return undefined;
  return ((last[total] - first[total]) * 1000) / (last.timeMs - first.timeMs);
}

/** Each point of a chart is the rate over this many polls: one alone shows when the reports came, not how fast it goes. */
const smoothedOver = 3;

/** The rate up to each sample; counters that went back (a restart of the worker) count as no rate. */
export function rateSeries(history: readonly Sample[], total: Total): (number | null)[] {
  return history.map((sample, index) => {
    const before = history[Math.max(0, index - smoothedOver)];
    if (!before || before === sample) return null;
    const rate = ((sample[total] - before[total]) * 1000) / (sample.timeMs - before.timeMs);
    return rate < 0 ? null : rate;
  });
}

export interface TimeLeft {
  readonly seconds: number;
  /** Where the rate stays between its slow and its fast stretches of the last minutes. */
  readonly fromSeconds: number;
  readonly untilSeconds: number;
}

/** The rate of the last minutes decides how long it takes. */
const estimateWindowMs = 120_000;
/** Before this many samples an estimate would be a guess. */
const estimateSamplesMin = 4;

/**
 * How long the full load still takes, from the bytes that are left and the rates of the last two minutes: the middle
 * from the mean rate, the range from its slower and its faster stretches.
 * @returns undefined while too little is known, or while nothing moves.
 */
export function timeLeft(history: readonly Sample[], totalBytes: number): TimeLeft | undefined {
  const samples = recent(history, estimateWindowMs);
  const last = samples.at(-1);
  if (!last || samples.length < estimateSamplesMin) return undefined;
  const mean = ratePerSecond(samples, "loadedBytes", estimateWindowMs);
  const remaining = totalBytes - last.loadedBytes;
  if (mean === undefined || mean <= 0 || remaining <= 0) return undefined;
  const rates = stretches(samples)
    .filter((rate) => rate > 0)
    .sort((a, b) => a - b);
  const slow = quantile(rates, 0.2) ?? mean;
  const fast = quantile(rates, 0.8) ?? mean;
  return { seconds: remaining / mean, fromSeconds: remaining / Math.max(fast, mean), untilSeconds: remaining / Math.min(slow, mean) };
}

/** Rates over stretches of a few samples each, so that one late answer does not widen the range. */
function stretches(samples: readonly Sample[]): number[] {
  const length = Math.max(1, Math.floor(samples.length / 8));
  const rates: number[] = [];
  for (let end = length; end < samples.length; end += length) {
    const rate = ratePerSecond(samples.slice(end - length, end + 1), "loadedBytes", estimateWindowMs);
    if (rate !== undefined) rates.push(rate);
  }
  return rates;
}

const quantile = (sorted: readonly number[], share: number): number | undefined => sorted[Math.floor(share * (sorted.length - 1))];

export interface WalForecast {
  readonly growthBytesPerSecond: number;
  /** What the slot will hold in an hour if it goes on like this. */
  readonly inOneHourBytes: number;
}

const walWindowMs = 60_000;

/** What becomes of the WAL held back on the source; undefined until it was watched for a few seconds. */
export function walForecast(history: readonly Sample[]): WalForecast | undefined {
  const samples = recent(history, walWindowMs);
  const last = samples.at(-1);
  const growth = ratePerSecond(samples, "walHeldBytes", walWindowMs);
  if (!last || growth === undefined || samples.length < estimateSamplesMin) return undefined;
  return { growthBytesPerSecond: growth, inOneHourBytes: Math.max(0, last.walHeldBytes + growth * 3600) };
}
