import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { createFigures, createStore } from "./store";

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => { vi.runAllTimers(); vi.useRealTimers(); });

test("figures that come one by one are told together, and those after them a second later", () => {
  const [one, other] = [createFigures(0), createFigures(0)];
  const told: string[] = [];
  one.subscribe(() => told.push(`one ${one.get()}`));
  other.subscribe(() => told.push(`other ${other.get()}`));
  vi.advanceTimersByTime(2_000);
  one.set(1);
  other.set(1);
  one.set(2);
  expect([one.get(), told]).toEqual([2, []]);
  vi.advanceTimersByTime(50);
  expect(told).toEqual(["one 2", "other 1"]);
  other.set(2);
  vi.advanceTimersByTime(800);
  expect(told).toHaveLength(2);
  vi.advanceTimersByTime(100);
  expect(told).toEqual(["one 2", "other 1", "other 2"]);
});

test("what is no figure is told at once, and only when it changes", () => {
  const store = createStore("a");
  const told: string[] = [];
  store.subscribe(() => told.push(store.get()));
  store.set("b");
  store.set("b");
  expect(told).toEqual(["b"]);
});
