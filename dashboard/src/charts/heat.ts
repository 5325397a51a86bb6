/** What of a heatmap is drawn where. Pure but for the pixels that it writes. */

import { cividis } from "./palette";

export interface HeatCell {
  readonly at_ms: number;
  /** Number of a bucket and how many values it has; absent for a gap. */
  readonly counts?: readonly (readonly number[])[] | null | undefined;
  readonly p99_us: number | null;
}

export interface Rows {
  /** First and last bucket that are drawn. */
  readonly from: number;
  readonly to: number;
}

/** The buckets that have values, and one beside them on either side. */
export function rowsOf(columns: readonly HeatCell[], buckets: number): Rows {
  let from = buckets;
  let to = -1;
  for (const column of columns) {
    for (const [bucket = 0, count = 0] of column.counts ?? []) {
      if (count === 0) continue;
      from = Math.min(from, bucket);
      to = Math.max(to, bucket);
    }
  }
  // An empty picture shows 100 µs to 1 s.
  if (to < 0) return { from: Math.min(26, buckets - 1), to: Math.min(80, buckets - 1) };
  return { from: Math.max(0, from - 1), to: Math.min(buckets - 1, Math.max(to + 1, from + 8)) };
}

/** The largest count of a cell. */
export function largest(columns: readonly HeatCell[]): number {
  let most = 0;
  for (const column of columns) for (const [, count = 0] of column.counts ?? []) most = Math.max(most, count);
  return most;
}

/** The share of the colour scale that a count takes: by its logarithm, so that one message among a million is seen. */
export function shade(count: number, most: number): number {
  if (count <= 0) return 0;
  return most <= 1 ? 1 : 0.12 + (0.88 * Math.log(count)) / Math.log(most);
}

/** Paints a column, one pixel for a bucket, the slowest on top. */
export function paintColumn(pixels: Uint8ClampedArray, width: number, x: number, column: HeatCell, rows: Rows, most: number): void {
  const height = rows.to - rows.from + 1;
  for (let y = 0; y < height; y += 1) pixels[4 * (y * width + x) + 3] = 0;
  for (const [bucket = 0, count = 0] of column.counts ?? []) {
    if (bucket < rows.from || bucket > rows.to || count === 0) continue;
    const at = 4 * ((rows.to - bucket) * width + x);
    const [red, green, blue] = cividis(shade(count, most));
    pixels[at] = red;
    pixels[at + 1] = green;
    pixels[at + 2] = blue;
    pixels[at + 3] = 255;
  }
}

/** Where on the axis a latency lies: 0 at the bottom of the first row, 1 at the top of the last. */
export function heightOf(us: number, rows: Rows, lowerUs: readonly number[]): number {
  const first = lowerUs[rows.from] ?? 1;
  const last = lowerUs[rows.to + 1] ?? (lowerUs[rows.to] ?? 1) * 1.19;
  if (us <= first) return 0;
  return Math.min(1, Math.log(us / first) / Math.log(last / first));
}

/** Latencies of an axis: 1, 10, 100 … within the rows; with 2 and 5 when there are few. */
export function latencyTicks(rows: Rows, lowerUs: readonly number[]): number[] {
  const first = lowerUs[rows.from] ?? 1;
  const last = lowerUs[rows.to] ?? first;
  const pick = (steps: readonly number[]) => {
    const ticks: number[] = [];
    for (let power = 1; power <= 1e10; power *= 10) {
      for (const step of steps) if (step * power >= first && step * power <= last) ticks.push(step * power);
    }
    return ticks;
  };
  const tens = pick([1]);
  return tens.length >= 3 ? tens : pick([1, 2, 5]);
}

/** Distances of the times below a picture. */
const TIME_STEPS_MS: readonly number[] = [10, 30, 60, 120, 300, 900, 1_800, 3_600, 7_200, 14_400, 21_600].map((seconds) => seconds * 1_000);
/** Times below a picture, at most. */
const TIMES_MAX = 6;

/** Columns in which a round time falls. */
export function timeTicks(at: readonly number[], stepMs: number, capacity: number): number[] {
  const every = TIME_STEPS_MS.find((step) => (capacity * stepMs) / step <= TIMES_MAX) ?? 86_400_000;
  return at.flatMap((ms, index) => (Math.floor(ms / every) > Math.floor((ms - stepMs) / every) ? [index] : []));
}
