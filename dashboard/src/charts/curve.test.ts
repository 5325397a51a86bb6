import { readFileSync } from "node:fs";

import { build, encodeIntoCompressedBase64 } from "hdr-histogram-js";
import { describe, expect, it } from "vitest";

import { axisEnd, crossing, endOf, percentileAt, place, readHgrm, sampled, sureUpTo, total, valueAt, type CurvePoint } from "./curve";
import { readV2 } from "./hdr";
import { roomy } from "./PercentileCurve";
import { curveSvg, escapeXml } from "./svg";

/** Latencies with a tail, the same in every run. */
function latencies(count: number): number[] {
  let seed = 42;
  const random = () => { seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648; return seed / 2_147_483_648; };
  return Array.from({ length: count }, () => Math.round(900 * Math.exp(3.2 * random() ** 6) + 200 * random()));
}

function histogram(values: readonly number[]) {
  const made = build({ bitBucketSize: 64, lowestDiscernibleValue: 1, highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: 3 });
  for (const value of values) made.recordValue(value);
  return made;
}

describe("a percentile curve", () => {
  const values = latencies(200_000);
  const made = histogram(values);
  const text = made.outputPercentileDistribution(20, 1_000, false);

  it("read from HdrHistogram's text has HdrHistogram's own percentiles", () => {
    const { points, count } = readHgrm(text);
    expect(count).toBe(values.length);
    for (const percentile of [0, 50, 75, 90, 99, 99.9, 99.99, 99.999, 100]) {
      const own = made.getValueAtPercentile(percentile);
      // The text is a staircase of twenty steps to a halving: its next step is at most one bucket's width away.
      const exact = points.find((point) => point.percentile >= percentile - 1e-9);
      expect(valueAt(points, percentile)).toBe((exact ?? points.at(-1))?.value_us);
      expect(Math.abs((valueAt(points, percentile) ?? 0) - own) / own).toBeLessThan(percentile === 0 ? 0.2 : 0.02);
    }
  });

  it("of steps as fine as the histogram has exactly its percentiles", async () => {
    const { points, count } = await readV2(encodeIntoCompressedBase64(made));
    expect(count).toBe(values.length);
    const sorted = [...values].sort((a, b) => a - b);
    for (const point of points) expect(point.value_us).toBe(made.getValueAtPercentile(point.percentile));
    for (const percentile of [50, 99, 99.9]) {
      const true_ = sorted[Math.ceil((percentile / 100) * sorted.length) - 1] ?? 0;
      expect(Math.abs((valueAt(points, percentile) ?? 0) - true_) / true_).toBeLessThan(0.02);
    }
  });

  it("that the appliance has exported is read", () => {
    const reference = readFileSync("../controlplane/src/watch/latency/reference.hgrm", "utf8");
    const { points, count } = readHgrm(reference);
    const told = Number(/Total count\s*=\s*(\d+)/.exec(reference)?.[1]);
    expect(count).toBe(told);
    const max = Number(/Max\s*=\s*([\d.]+)/.exec(reference)?.[1]);
    expect(valueAt(points, 100)).toBe(Math.round(max * 1_000));
  });

  it("refuses what is none, in a sentence", async () => {
    expect(() => readHgrm("hello")).toThrow(/not the text of an HdrHistogram/);
    expect(() => readHgrm("1.0 0.5 10\n2.0 0.9 5")).toThrow(/do not grow/);
    await expect(readV2("<script>")).rejects.toThrow(/neither/);
    await expect(readV2("aGVsbG8=")).rejects.toThrow();
  });
});

describe("the axis", () => {
  it("makes each nine as wide as the one before", () => {
    expect([0, 90, 99, 99.9].map((percentile) => Number(place(percentile).toPrecision(6)))).toEqual([0, 1, 2, 3]);
    for (const percentile of [12.5, 50, 99, 99.99]) expect(percentileAt(place(percentile))).toBeCloseTo(percentile, 9);
  });

  it("is pale where fewer than ten lie beyond, and ends with the last message", () => {
    expect(percentileAt(sureUpTo(10_000))).toBeCloseTo(99.9, 6);
    expect(percentileAt(endOf(10_000))).toBeCloseTo(99.99, 6);
    expect([sureUpTo(10), endOf(1), axisEnd([]), axisEnd([1e9])]).toEqual([0, 0, 2, 6]);
  });
});

const POINTS: CurvePoint[] = [
  { percentile: 50, value_us: 100, count: 500 }, { percentile: 90, value_us: 200, count: 900 }, { percentile: 100, value_us: 1_000, count: 1_000 },
];

describe("curves together", () => {
  it("are staircases on one grid, solid and then pale, and never invent a value", () => {
    const { x, sure, pale } = sampled([POINTS, []], 3);
    const drawn = x.map((_, index) => sure[0]?.[index] ?? pale[0]?.[index] ?? null);
    expect(new Set(drawn.filter((value) => value !== null))).toEqual(new Set([100, 200, 1_000]));
    const last = sure[0]?.findLastIndex((value) => value !== null) ?? 0;
    expect(percentileAt(x[last] ?? 0)).toBeLessThanOrEqual(99.0001);
    expect(pale[0]?.[last]).not.toBeNull();
    expect(sure[1]?.every((value) => value === null)).toBe(true);
  });

  it("say which share keeps a limit", () => {
    expect(crossing(POINTS, 200)).toBe(90);
    expect(crossing(POINTS, 99)).toBe(0);
    expect(crossing(POINTS, 1_000)).toBeNull();
    expect(total(POINTS)).toBe(1_000);
    expect(valueAt([], 50)).toBeNull();
  });

  it("leave as a picture in which names stay text", () => {
    const svg = curveSvg("<b>&", [{ key: "a", label: "\"><script>alert(1)</script>", look: 0, points: POINTS }]);
    expect(svg).not.toMatch(/<script|<b>/);
    expect(escapeXml("<&>\"'")).toBe("&#60;&#38;&#62;&#34;&#39;");
    expect(svg).toMatch(/^<svg[^>]+>.+<\/svg>\n$/s);
  });
});

describe("names of ticks", () => {
  it("never lie on each other, and it is the tail that keeps its own", () => {
    expect(roomy([0, 1, 2, 3], (x) => x * 100)).toEqual([0, 1, 2, 3]);
    expect(roomy([0, 1, 2, 3], (x) => x * 30)).toEqual([null, 1, null, 3]);
    expect(roomy([], () => 0)).toEqual([]);
  });
});
