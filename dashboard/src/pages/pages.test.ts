import { describe, expect, it } from "vitest";

import { hex } from "../ui/Record";
import { timeToEmpty } from "./Queues";
import { withRates, KEPT, type Rates } from "./rates";
import { readConfigs } from "./TopicDialogs";
import { hintAt, lineOf, pipelineTable, placeOf } from "./toml";
import { partsOf } from "./Waterfall";

const TOML = `[api]
listen = "127.0.0.1:8080"

[[pipeline]]
name = "orders"
[pipeline.queue]
wait_time = "20s"

[[pipeline]]
name = "refunds"
[pipeline.queue]
wait_time = "99s"
`;

describe("a place in a configuration", () => {
  it("is found by table and key", () => {
    expect(placeOf(TOML, 2)).toEqual({ table: ["api"], key: "listen" });
    expect(placeOf(TOML, 7)).toEqual({ table: ["pipeline", "queue"], key: "wait_time" });
    expect(placeOf(TOML, 3).key).toBeNull();
  });

  it("is that of the pipeline which the fault names, or of the line that it tells", () => {
    expect(lineOf(TOML, { field: "pipeline.refunds.queue.wait_time", text: "too long" })).toBe(12);
    expect(lineOf(TOML, { field: "pipeline.orders.queue.wait_time", text: "too long" })).toBe(7);
    expect(lineOf(TOML, { field: "toml", text: "expected a value at line 5 column 3" })).toBe(5);
  });

  it("has the words of the schema", () => {
    const schema = {
      properties: { pipeline: { type: "array", items: { $ref: "#/$defs/Pipeline" } } },
      $defs: { Pipeline: { properties: { queue: { $ref: "#/$defs/Queue" } } }, Queue: { properties: { wait_time: { description: "How long\n a receive waits." } } } },
    };
    expect(hintAt(TOML, 7, schema)).toBe("How long a receive waits.");
    expect([hintAt(TOML, 2, schema), hintAt(TOML, 3, schema), hintAt(TOML, 7, null)]).toEqual([null, null, null]);
  });
});

describe("figures of pages", () => {
  it("rates come from counts at two moments; what began anew is not known", () => {
    const type = (count: number) => ({ pipeline: "p", name: "t", count, bytes: 0, errors: 0 });
    const none: Rates = { at: [], rates: new Map() };
    const first = withRates(none, new Map([["p/t", 10]]), [type(30)], 2_000, 2);
    expect(first.rates.get("p/t")).toEqual([10]);
    const second = withRates(first, new Map([["p/t", 30]]), [type(5)], 4_000, 2);
    expect(second.rates.get("p/t")).toEqual([10, null]);
    let long = none;
    for (let turn = 0; turn < KEPT + 5; turn += 1) long = withRates(long, new Map(), [type(1)], turn, 1);
    expect([long.at.length, long.rates.get("p/t")?.length]).toEqual([KEPT, KEPT]);
  });

  it("a queue that grows is never empty", () => {
    expect(timeToEmpty([100, null, 80], 1)).toBe(8);
    expect([timeToEmpty([10, 20], 1), timeToEmpty([5], 1), timeToEmpty([], 1), timeToEmpty([9, 0], 1)]).toEqual([null, null, null, null]);
  });

  it("configs of a topic are lines, and an empty value is the default", () => {
    expect(readConfigs("retention.ms = 1000\n\ncleanup.policy=\n")).toEqual({ "retention.ms": "1000", "cleanup.policy": null });
    expect(() => readConfigs("nonsense")).toThrow(/name=value/);
  });

  it("what is left of the whole is waiting, what is too much is told", () => {
    const stage = (name: string, us: number) => ({ stage: name, percentiles: { count: 1, p50_us: us, p90_us: us, p99_us: us, p999_us: us, max_us: us }, points: [{ percentile: 100, value_us: us, count: 1 }] });
    const short = partsOf([stage("decode", 10), stage("produce_to_ack", 50), stage("end_to_end", 100)], 99);
    expect(short.parts.find((part) => part.key === "waiting")?.us).toBe(40);
    expect(short.parts.reduce((sum, part) => sum + (part.us ?? 0), 0)).toBe(short.whole);
    const long = partsOf([stage("produce_to_ack", 150), stage("end_to_end", 100)], 99);
    expect([long.excess, long.parts.some((part) => part.key === "waiting")]).toEqual([50, false]);
  });

  it("a stage that no message went through has no figure", () => {
    const stage = (name: string, us: number, count: number) => ({ stage: name, percentiles: { count, p50_us: us, p90_us: us, p99_us: us, p999_us: us, max_us: us }, points: count === 0 ? [] : [{ percentile: 100, value_us: us, count }] });
    const { parts } = partsOf([stage("decode", 10, 5), stage("handoff", 0, 0), stage("produce_to_ack", 0, 5), stage("end_to_end", 100, 5)], 99);
    expect(parts.map((part) => [part.key, part.us])).toEqual([["decode", 10], ["pipeline", null], ["handoff", null], ["waiting", 90], ["produce_to_ack", 0], ["ack_to_deleted", null]]);
  });

  it("bytes are shown as hexadecimal and letters", () => {
    expect(hex("<b>\n")).toBe("000000  3c 62 3e 0a                                      <b>.");
  });
});

describe("a new pipeline's table", () => {
  it("quotes what was typed, so that nothing of it becomes another key", () => {
    const table = pipelineTable({ name: 'a"\nshards.count = 9', queue: "https://q", brokers: ["b:1", "c:2"], topic: "t" });
    expect(table.split("\n")).toEqual([
      "[[pipeline]]", String.raw`name = "a\"\nshards.count = 9"`, 'queue.url = "https://q"', 'kafka.brokers = ["b:1","c:2"]', 'route.topic = "t"', "",
    ]);
  });
});
