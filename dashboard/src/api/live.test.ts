import { beforeEach, describe, expect, it } from "vitest";

import { chooseInstance, live, take, takeOfInstance, type Shards } from "./live";

const EMPTY = { instance: null, instances: [], pipelines: [], shards: null, atMs: 0, problem: null };

describe("the live store", () => {
  beforeEach(() => { chooseInstance(null); live.set(EMPTY); });

  it("takes each topic and the time of its arrival", () => {
    take({ event: "instance", data: JSON.stringify({ name: "a" }) }, 1_000);
    take({ event: "pipelines", data: JSON.stringify([{ name: "orders", totals: {} }]) }, 2_000);
    expect(live.get().instance?.name).toBe("a");
    expect(live.get().pipelines.map((one) => one.name)).toEqual(["orders"]);
    expect(live.get().atMs).toBe(2_000);
  });

  it("shows one data plane and never the figures of another under its name", () => {
    const shards = { items: [], threads: [], started: 1 } as unknown as Shards;
    take({ event: "instances", data: JSON.stringify({ items: [{ name: "a" }, { name: "b" }] }) }, 1_000);
    take({ event: "pipelines", data: JSON.stringify([{ name: "sum", totals: {} }]) }, 1_000);
    chooseInstance("b");
    expect(live.get()).toMatchObject({ instance: { name: "b" }, pipelines: [], atMs: 0 });
    take({ event: "pipelines", data: JSON.stringify([{ name: "sum", totals: {} }]) }, 2_000);
    takeOfInstance("a", [], shards, 2_000);
    expect(live.get()).toMatchObject({ pipelines: [], atMs: 0 });
    takeOfInstance("b", [], shards, 3_000);
    expect(live.get()).toMatchObject({ instance: { name: "b" }, shards, atMs: 3_000 });
  });

  it("leaves what was there when an event is not as it should be", () => {
    take({ event: "shards", data: JSON.stringify({ items: [], threads: [], started: 1 }) }, 1_000);
    for (const [event, data] of [["shards", "{}"], ["shards", "not json"], ["pipelines", "[{}]"], ["pipelines", "{}"], ["instance", "null"], ["instances", "{}"], ["instances", "{\"items\":[{}]}"], ["other", "{\"name\":\"x\"}"]] as const) {
      take({ event, data }, 9_000);
    }
    expect(live.get()).toEqual({ ...EMPTY, shards: { items: [], threads: [], started: 1 }, atMs: 1_000 });
  });
});
