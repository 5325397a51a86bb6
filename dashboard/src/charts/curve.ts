/**
 * The mathematics of percentile curves. Pure. A curve is a staircase: each point says that this share of the values is at
 * or below this value, and between two points nothing was recorded. So nothing is interpolated and nothing averaged.
 */

export interface CurvePoint {
  /** 0 to 100. */
  readonly percentile: number;
  /** Microseconds. */
  readonly value_us: number;
  /** Values at or below it. */
  readonly count: number;
}

/** Fewer values than this beyond a point say little about it: the curve is pale there. */
export const SURE_BEYOND = 10;
/** The percentiles of the axis. */
export const TICKS: readonly number[] = [0, 50, 90, 99, 99.9, 99.99, 99.999];
/** Points across the picture: more than one for each pixel of the usual width would not be seen. */
const GRID = 400;

/** Place of a percentile on the axis: log10(1/(1−q)), so that each nine is as wide as the one before. */
export function place(percentile: number): number {
  return percentile >= 100 ? Infinity : -Math.log10(1 - percentile / 100);
}

/** The percentile at a place. */
export function percentileAt(x: number): number {
  return 100 * (1 - 10 ** -x);
}

/** Number of values of a curve. */
export function total(points: readonly CurvePoint[]): number {
  return points.at(-1)?.count ?? 0;
}

/** The value at a percentile: that of the first point at or beyond it, as HdrHistogram defines it. `null` of no values. */
export function valueAt(points: readonly CurvePoint[], percentile: number): number | null {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.percentile ?? 0) < percentile - 1e-9) low = middle + 1;
    else high = middle;
  }
  return (points[low] ?? points.at(-1))?.value_us ?? null;
}

/** The place up to which at least so many values lie beyond. */
export function sureUpTo(count: number, beyond: number = SURE_BEYOND): number {
  return count <= beyond ? 0 : Math.log10(count / beyond);
}

/** The place of the last value: nothing is known to the right of it. */
export function endOf(count: number): number {
  return count <= 1 ? 0 : Math.log10(count);
}

/** The percentile at which a curve passes a limit: the share of values at or below it. `null`: all are. */
export function crossing(points: readonly CurvePoint[], limitUs: number): number | null {
  const first = points.findIndex((point) => point.value_us > limitUs);
  if (first < 0) return null;
  const all = total(points);
  const below = first === 0 ? 0 : points[first - 1]?.count ?? 0;
  return all === 0 ? null : (100 * below) / all;
}

export interface Sampled {
  /** Places. */
  readonly x: number[];
  /** For each curve its values where enough lie beyond, and then those where few do. */
  readonly sure: (number | null)[][];
  readonly pale: (number | null)[][];
}

/** Curves on one axis, so that they can be drawn together. */
export function sampled(curves: readonly (readonly CurvePoint[])[], upTo: number): Sampled {
  const x = Array.from({ length: GRID + 1 }, (_, index) => (index / GRID) * upTo);
  const one = (points: readonly CurvePoint[]) => {
    const count = total(points);
    const sure = sureUpTo(count);
    const end = endOf(count);
    const values = x.map((at) => (count === 0 || at > end + upTo / GRID ? null : valueAt(points, percentileAt(at))));
    return {
      sure: values.map((value, index) => ((x[index] ?? 0) <= sure ? value : null)),
      // The pale part begins where the other ends, so that they meet.
      pale: values.map((value, index) => ((x[index + 1] ?? Infinity) > sure ? value : null)),
    };
  };
  const both = curves.map(one);
  return { x, sure: both.map((curve) => curve.sure), pale: both.map((curve) => curve.pale) };
}

/** The right end of an axis that shows these curves: at least 99 %, at most 99.9999 %. */
export function axisEnd(counts: readonly number[]): number {
  return Math.min(6, Math.max(2, Math.ceil(endOf(Math.max(0, ...counts)))));
}

export interface Hgrm {
  readonly points: readonly CurvePoint[];
  readonly count: number;
}

/** Longest text that is read: a full histogram at a hundred ticks is 300 KiB. */
export const HGRM_CHARS_MAX = 4 * 1024 * 1024;

/**
 * Reads HdrHistogram's text (`.hgrm`), whose values are milliseconds as Millrace and wrk2 write them.
 * Throws a sentence for a person when it is something else.
 */
export function readHgrm(text: string): Hgrm {
  if (text.length > HGRM_CHARS_MAX) throw new Error(`the file is longer than ${HGRM_CHARS_MAX} characters`);
  const points: CurvePoint[] = [];
  for (const line of text.split(/\r?\n/)) {
    const found = /^\s*([\d.]+)\s+([\d.]+)\s+(\d+)(?:\s+([\d.]+|inf))?\s*$/i.exec(line);
    if (!found) continue;
    const value = Number(found[1]);
    const quantile = Number(found[2]);
    if (!(quantile >= 0 && quantile <= 1) || !Number.isFinite(value)) throw new Error(`this line has no quantile: ${line.trim()}`);
    points.push({ percentile: quantile * 100, value_us: Math.round(value * 1_000), count: Number(found[3]) });
  }
  if (points.length === 0) throw new Error("no line has value, quantile and count: it is not the text of an HdrHistogram");
  const sorted = points.every((point, index) => index === 0 || point.count >= (points[index - 1]?.count ?? 0));
  if (!sorted) throw new Error("the counts do not grow from line to line: it is not the text of an HdrHistogram");
  return { points, count: total(points) };
}
