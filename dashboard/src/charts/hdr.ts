/** Histograms that others saved, in HdrHistogram's V2 encoding. The decoder is large and is loaded when it is needed. */

import type { CurvePoint, Hgrm } from "./curve";

/** Longest encoding that is read. */
const ENCODED_CHARS_MAX = 1024 * 1024;
/** Points between two halvings of the distance to 100 %. */
const TICKS_PER_HALF = 10;

/** Reads a histogram in V2 encoding, compressed, in base64; values are microseconds. */
export async function readV2(text: string): Promise<Hgrm> {
  const encoded = text.trim();
  if (encoded.length > ENCODED_CHARS_MAX) throw new Error(`the histogram is longer than ${ENCODED_CHARS_MAX} characters`);
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) throw new Error("it is neither HdrHistogram's text nor its V2 encoding in base64");
  const { decodeFromCompressedBase64 } = await import("hdr-histogram-js");
  const histogram = decodeFromCompressedBase64(encoded, 64, false);
  const count = histogram.totalCount;
  const points: CurvePoint[] = [];
  const add = (percentile: number) => {
    const value = histogram.getValueAtPercentile(percentile);
    const last = points.at(-1);
    const at = Math.min(count, Math.ceil((percentile / 100) * count));
    if (last?.percentile !== percentile) points.push({ percentile, value_us: value, count: at });
  };
  for (let half = 0; count > 0 && 2 ** half <= count * 2; half += 1) {
    const from = 100 * (1 - 2 ** -half);
    const to = 100 * (1 - 2 ** -(half + 1));
    for (let tick = 0; tick < TICKS_PER_HALF; tick += 1) add(from + ((to - from) * tick) / TICKS_PER_HALF);
  }
  if (count > 0) add(100);
  return { points, count };
}
