import { beforeEach, describe, expect, it } from "vitest";

import { live, take } from "./live";

const EMPTY = { instance: null, pipelines: [], shards: null, atMs: 0, problem: null };

describe("the live store", () => {
  beforeEach(() => live.set(EMPTY));

  it("takes each topic and the time of its arrival", () => {
    take({ event: "instance", data: JSON.stringify({ name: "a" }) }, 1_000);
    take({ event: "pipelines", data: JSON.stringify([{ name: "orders", totals: {} }]) }, 2_000);
    expect(live.get().instance?.name).toBe("a");
    expect(live.get().pipelines.map((one) => one.name)).toEqual(["orders"]);
    expect(live.get().atMs).toBe(2_000);
  });

  it("leaves what was there when an event is not as it should be", () => {
    take({ event: "shards", data: JSON.stringify({ items: [], threads: [], started: 1 }) }, 1_000);
    for (const [event, data] of [["shards", "{}"], ["shards", "not json"], ["pipelines", "[{}]"], ["pipelines", "{}"], ["instance", "null"], ["other", "{\"name\":\"x\"}"]] as const) {
      take({ event, data }, 9_000);
    }
    expect(live.get()).toEqual({ ...EMPTY, shards: { items: [], threads: [], started: 1 }, atMs: 1_000 });
  });
});
