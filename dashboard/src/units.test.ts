import { describe, expect, it } from "vitest";

import * as units from "./units";

describe("units", () => {
  it("keeps three digits and names the unit", () => {
    expect(units.duration(7)).toBe("7 µs");
    expect(units.duration(1_234)).toBe("1.23 ms");
    expect(units.duration(999_600)).toBe("1\u202f000 ms");
    expect(units.duration(2_000_000)).toBe("2 s");
    expect(units.duration(125 * 1_000_000)).toBe("2 min 5 s");
    expect(units.duration(0)).toBe("0 µs");
  });

  it("has one unit for an axis, chosen by its largest value", () => {
    const unit = units.durationUnit(1_500_000);
    expect([0, 500_000, 1_500_000].map((us) => units.inUnit(us, unit))).toEqual(["0 s", "0.5 s", "1.5 s"]);
  });

  it("says that nothing is known instead of NaN", () => {
    for (const format of [units.duration, units.count, units.brief, units.rate, units.bytes, units.percent, units.dollars, units.times, units.span, units.clock, units.moment]) {
      expect([format(null), format(undefined), format(NaN)]).toEqual(["–", "–", "–"]);
    }
  });

  it("counts, sizes, shares and prices", () => {
    expect(units.count(1_234_567)).toBe("1\u202f234\u202f567");
    expect(units.brief(1_234_567)).toBe("1.23 M");
    expect(units.rate(98_765)).toBe("98.8 k/s");
    expect(units.bytes(1_536)).toBe("1.5 KiB");
    expect(units.percent(0.9995)).toBe("99.95 %");
    expect(units.percent(0.00001)).toBe("< 0.01 %");
    expect(units.percent(1)).toBe("100 %");
    expect(units.dollars(1_234.5)).toBe("$1\u202f234.5");
    expect(units.dollars(0.000_123_4)).toBe("$0.000123");
    expect(units.times(1.25)).toBe("1.25 ×");
  });

  it("copies nanoseconds whole", () => {
    expect(units.nanoseconds(14_203)).toBe("14203000");
  });

  it("tells lengths of time in two parts at most", () => {
    expect(units.span(3 * 86_400 + 4 * 3_600 + 59)).toBe("3 d 4 h");
    expect(units.span(0.25)).toBe("250 ms");
    expect(units.ago(0, 61_000)).toBe("1 min 1 s ago");
    expect(units.ago(1_000, 1_200)).toBe("now");
  });

  it("names percentiles", () => {
    expect([50, 99.9, 99.999, 100].map(units.percentileName)).toEqual(["p50", "p99.9", "p99.999", "max"]);
  });
});
