import { describe, expect, it } from "vitest";

import { heightOf, largest, latencyTicks, paintColumn, rowsOf, shade, timeTicks } from "./heat";
import { cividis } from "./palette";

/** Borders as the appliance has them: four to each doubling. */
const LOWER = Array.from({ length: 128 }, (_, bucket) => Math.ceil(((4 + (bucket & 3)) * 2 ** (bucket >> 2)) / 4));
const COLUMNS = [{ at_ms: 1_000, counts: [[40, 5], [48, 100]], p99_us: 5_000 }, { at_ms: 2_000, counts: null, p99_us: null }];

describe("a heatmap", () => {
  it("shows the rows that have values, and one beside them", () => {
    expect(rowsOf(COLUMNS, 128)).toEqual({ from: 39, to: 49 });
    expect(rowsOf([], 128)).toEqual({ from: 26, to: 80 });
    expect(largest(COLUMNS)).toBe(100);
  });

  it("paints a cell where its bucket lies, the slowest on top, and nothing where nothing is", () => {
    const rows = { from: 39, to: 49 };
    const pixels = new Uint8ClampedArray(4 * 2 * 11);
    paintColumn(pixels, 2, 1, COLUMNS[0]!, rows, 100);
    const alpha = Array.from({ length: 22 }, (_, index) => pixels[4 * index + 3]);
    expect(alpha.flatMap((value, index) => (value === 255 ? [index] : []))).toEqual([2 * (49 - 48) + 1, 2 * (49 - 40) + 1]);
    paintColumn(pixels, 2, 1, COLUMNS[1]!, rows, 100);
    expect([...pixels].filter((_, index) => index % 4 === 3).every((value) => value === 0)).toBe(true);
  });

  it("lets one message among a million be seen", () => {
    expect(shade(1, 1_000_000)).toBeCloseTo(0.12);
    expect([shade(0, 10), shade(1_000_000, 1_000_000), shade(1, 1)]).toEqual([0, 1, 1]);
    expect(cividis(0)).toEqual([0, 34, 78]);
    expect(cividis(1)).toEqual([254, 232, 56]);
  });

  it("has a logarithmic axis whose ticks lie within it", () => {
    const rows = { from: 39, to: 60 };
    expect(heightOf(LOWER[39]!, rows, LOWER)).toBe(0);
    expect(heightOf(LOWER[61]!, rows, LOWER)).toBeCloseTo(1);
    const ticks = latencyTicks(rows, LOWER);
    expect(ticks.length).toBeGreaterThanOrEqual(3);
    for (const tick of ticks) expect(heightOf(tick, rows, LOWER)).toBeGreaterThan(0);
  });
});

it("times below the picture are round, and few", () => {
  const second = Array.from({ length: 60 }, (_, index) => 1_000_003_000 + index * 1_000);
  expect(timeTicks(second, 1_000, 60).map((index) => second[index]! % 10_000)).toEqual([0, 0, 0, 0, 0, 0]);
  const day = Array.from({ length: 1_440 }, (_, index) => 1_000_020_000 + index * 60_000);
  expect(timeTicks(day, 60_000, 1_440)).toHaveLength(6);
  // Columns that are not taken at whole seconds have them all the same.
  expect(timeTicks([9_400, 10_400, 11_400], 1_000, 60)).toEqual([1]);
});
