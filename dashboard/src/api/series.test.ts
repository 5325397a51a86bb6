import { describe, expect, it } from "vitest";

import { createStore } from "./store";
import { joined, type Columns } from "./series";

const columns = (at: number[], values: Record<string, (number | null)[]>): Columns => ({ stepMs: 1_000, at, columns: new Map(Object.entries(values)) });

describe("series", () => {
  it("put newer steps behind, replace those that come twice and forget the oldest", () => {
    const old = columns([1_000, 2_000, 3_000], { received: [1, 2, 3] });
    const next = joined(old, columns([3_000, 4_000], { received: [30, 4] }), 3);
    expect(next.at).toEqual([2_000, 3_000, 4_000]);
    expect(next.columns.get("received")).toEqual([2, 30, 4]);
  });

  it("fill a column that begins later with gaps, so that all have the same length", () => {
    const next = joined(columns([1_000], { a: [1] }), columns([2_000], { a: [2], b: [9] }), 10);
    expect(next.columns.get("b")).toEqual([null, 9]);
    expect(next.columns.get("a")).toEqual([1, 2]);
  });

  it("stay as they are when nothing new has come, and begin anew with another step", () => {
    const old = columns([1_000], { a: [1] });
    expect(joined(old, columns([], {}), 10)).toBe(old);
    expect(joined(old, { ...columns([60_000], { a: [5] }), stepMs: 60_000 }, 10).at).toEqual([60_000]);
  });
});

describe("a store", () => {
  it("tells its listeners of changes only, and not those who have left", () => {
    const store = createStore(1);
    let told = 0;
    const leave = store.subscribe(() => { told += 1; });
    store.set(1);
    store.set(2);
    store.update((value) => value + 1);
    leave();
    store.set(9);
    expect([told, store.get()]).toEqual([2, 9]);
  });
});
