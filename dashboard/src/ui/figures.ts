/** What the strip and the law say, from what the appliance has published. Pure. */

import type { Live, Pipeline } from "../api/live";

/** A live picture older than this is stale, and older than that lost. */
export const STALE_MS = 3_000;
export const LOST_MS = 15_000;

export interface Law {
  readonly received: number;
  readonly parts: readonly { readonly name: string; readonly count: number }[];
  readonly unaccounted: number;
}

/** The conservation law over pipelines: every received message has exactly one fate. */
export function law(pipelines: readonly Pipeline[]): Law {
  const sum = (pick: (one: Pipeline["totals"]) => number) => pipelines.reduce((all, one) => all + pick(one.totals), 0);
  const parts = [
    { name: "delivered", count: sum((one) => one.delivered) },
    { name: "rejected", count: sum((one) => one.rejected) },
    { name: "filtered", count: sum((one) => one.filtered) },
    { name: "released", count: sum((one) => one.released) },
    { name: "lease lost", count: sum((one) => one.lease_lost) },
    { name: "in flight", count: sum((one) => one.in_flight) },
  ];
  const received = sum((one) => one.received);
  return { received, parts, unaccounted: received - parts.reduce((all, part) => all + part.count, 0) };
}

const WORST: readonly string[] = ["broken", "stopped", "draining", "starting", "paused", "running"];

/** The worst state of some pipelines. */
export function worst(pipelines: readonly Pipeline[]): string {
  return WORST.find((state) => pipelines.some((one) => one.state === state)) ?? "unknown";
}

/** The pipelines that are looked at. */
export function chosen(live: Live, pipeline: string | null): readonly Pipeline[] {
  return pipeline === null ? live.pipelines : live.pipelines.filter((one) => one.name === pipeline);
}

export interface Warning {
  readonly key: string;
  readonly mood: "bad" | "warn";
  readonly text: string;
  readonly action: string;
  readonly to: string;
}

/** A stall of a shard that is worth a word, microseconds. */
const STALL_US = 100_000;
const STILL_S = 2;

/** What is wrong, in sentences, each with where to go. */
export function warnings(live: Live): Warning[] {
  const found: Warning[] = [];
  const add = (key: string, mood: Warning["mood"], text: string, action: string, to: string) => found.push({ key, mood, text, action, to });
  const { unaccounted } = law(live.pipelines);
  if (unaccounted !== 0) add("law", "bad", `${unaccounted} received messages have no fate. This is a bug of Millrace; please report it.`, "Collect a report", "/help");
  for (const one of live.pipelines) {
    const reason = one.reason === "" ? "" : `: ${one.reason}`;
    if (one.state === "broken") add(`broken-${one.name}`, "bad", `Pipeline ${one.name} receives nothing${reason}`, "Look at it", `/pipelines?pipeline=${encodeURIComponent(one.name)}`);
    else if (one.state === "starting" && one.reason !== "") add(`starting-${one.name}`, "warn", `Pipeline ${one.name} has not started${reason}`, "Look at it", "/pipelines");
    else if (one.state !== "running" && one.state !== "starting") add(`state-${one.name}`, "warn", `Pipeline ${one.name} is ${one.state}${reason}`, "Steer it", "/pipelines");
    if (Math.abs(one.clock_skew_s) > 60) add(`skew-${one.name}`, "warn", `This machine's clock differs from AWS's by ${one.clock_skew_s} s.`, "Look at the queue", "/queues");
  }
  for (const shard of live.shards?.items ?? []) {
    if (shard.still_s > STILL_S) add(`still-${shard.shard}`, "bad", `Shard ${shard.shard} has not turned for ${Math.round(shard.still_s)} s.`, "Look at it", "/shards");
    else if (shard.stall_us > STALL_US) add(`stall-${shard.shard}`, "warn", `Shard ${shard.shard} stalled for ${Math.round(shard.stall_us / 1_000)} ms within the last second.`, "Look at it", "/shards");
  }
  for (const reason of live.instance?.reasons ?? []) add(`ready-${reason}`, "warn", `Not ready: ${reason}`, "Look at pipelines", "/pipelines");
  return found;
}

/** Largest divided by mean: 1 is even. `null` while nothing is held. */
export function imbalance(values: readonly number[]): number | null {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return values.length === 0 || mean === 0 ? null : Math.max(...values) / mean;
}
