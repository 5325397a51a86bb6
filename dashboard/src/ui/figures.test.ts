import { describe, expect, it } from "vitest";

import type { Live, Pipeline } from "../api/live";
import { imbalance, law, warnings, worst } from "./figures";
import { readView } from "./view";

const NONE = { received: 0, delivered: 0, rejected: 0, filtered: 0, released: 0, lease_lost: 0, in_flight: 0 };

function pipeline(name: string, state: Pipeline["state"], totals: Partial<Pipeline["totals"]> = {}): Pipeline {
  return { name, state, reason: "", totals: { ...NONE, ...totals } as Pipeline["totals"], shards: [], clock_skew_s: 0, unaccounted: 0, pollers: 0, kafka_errors: {}, sqs_errors: {}, rejections: {} };
}

const live = (pipelines: Pipeline[]): Live => ({ instance: null, instances: [], pipelines, shards: null, atMs: 1, problem: null });

describe("the conservation law", () => {
  it("holds over all pipelines together, with every fate named", () => {
    const found = law([pipeline("a", "running", { received: 10, delivered: 6, in_flight: 4 }), pipeline("b", "paused", { received: 6, rejected: 1, filtered: 2, released: 1, lease_lost: 2 })]);
    expect([found.received, found.unaccounted]).toEqual([16, 0]);
    expect(found.parts.map((part) => part.count)).toEqual([6, 1, 2, 1, 2, 4]);
  });

  it("says by how much it is broken, either way", () => {
    expect(law([pipeline("a", "running", { received: 10, delivered: 9 })]).unaccounted).toBe(1);
    expect(law([pipeline("a", "running", { received: 10, delivered: 11 })]).unaccounted).toBe(-1);
    expect(warnings(live([pipeline("a", "running", { received: 1 })])).map((one) => one.key)).toContain("law");
  });
});

describe("states", () => {
  it("of several pipelines are told by the worst", () => {
    expect(worst([pipeline("a", "running"), pipeline("b", "broken"), pipeline("c", "paused")])).toBe("broken");
    expect(worst([])).toBe("unknown");
  });

  it("that want attention are sentences with a place to go", () => {
    const found = warnings({ ...live([{ ...pipeline("orders", "broken"), reason: "Kafka refuses" }, pipeline("b", "paused")]), shards: { started: 1, threads: [], items: [{ instance: "a", instance_shard: 3, shard: 3, turns: 1, stall_us: 250_000, still_s: 0.1, in_flight: 1, in_flight_bytes: 1 }] } });
    expect(found.map((one) => one.text)).toEqual([
      "Pipeline orders receives nothing: Kafka refuses", "Pipeline b is paused", "Shard 3 stalled for 250 ms within the last second.",
    ]);
    expect(found.every((one) => one.to.startsWith("/"))).toBe(true);
  });
});

describe("imbalance", () => {
  it("is the largest divided by the mean", () => {
    expect(imbalance([10, 10])).toBe(1);
    expect(imbalance([30, 10])).toBe(1.5);
    expect([imbalance([]), imbalance([0, 0])]).toEqual([null, null]);
  });
});

describe("an address", () => {
  it("is read whole, and nonsense in it is left out", () => {
    const view = readView(new URLSearchParams("pipeline=orders&span=600&to=1700000000000&stages=decode,nonsense&baseline=b"));
    expect(view).toEqual({ pipeline: "orders", instance: null, spanS: 600, toMs: 1_700_000_000_000, stages: ["decode"], baseline: "b" });
    const usual = readView(new URLSearchParams("span=7&to=-1"));
    expect([usual.spanS, usual.toMs, usual.stages.length > 0]).toEqual([300, null, true]);
  });
});
