/**
 * Series of the last ten minutes by second, or of longer spans by minute, kept outside of React. A feed is shared by all
 * who look at the same subject; it asks only for what is new, and only while somebody looks.
 */

import { body, client, type Body } from "./client";
import { asProblem, type ApiProblem } from "./problem";
import { createFigures, type Store } from "./store";

/** Columns kept: ten minutes of seconds, or a day of minutes. A tab that is open for a month holds no more. */
export const POINTS_MAX = 1_440;
/** Ten minutes are what the appliance keeps by the second. */
const SECONDS_S = 600;
const DAY_S = 86_400;
/** One answer has at most a day of minutes, by the clock of the appliance. */
const MARGIN_S = 120;
/** A tab that nobody sees asks seldom: the appliance keeps what it misses for ten minutes. */
const HIDDEN_MS = 10_000;

export interface Columns {
  readonly stepMs: number;
  /** End of each step, milliseconds since 1970. */
  readonly at: readonly number[];
  readonly columns: ReadonlyMap<string, readonly (number | null)[]>;
}

export interface Feed<T> {
  readonly value: T | null;
  readonly problem: ApiProblem | null;
  readonly loadedMs: number;
}

type History = Body<"History">;
export type HeatColumn = Body<"Column">;

export interface Heat {
  readonly stepMs: number;
  readonly lowerUs: readonly number[];
  readonly columns: readonly HeatColumn[];
}

/** Puts newer steps after older ones and forgets what is too old. Steps that come twice are replaced. */
export function joined(old: Columns | null, next: Columns, keep: number): Columns {
  if (old === null || old.stepMs !== next.stepMs || next.at.length === 0) return old !== null && next.at.length === 0 ? old : cut(next, keep);
  const first = next.at[0] ?? 0;
  const end = old.at.findIndex((at) => at >= first);
  const length = end < 0 ? old.at.length : end;
  const columns = new Map<string, (number | null)[]>();
  for (const [name, values] of next.columns) {
    const before = old.columns.get(name)?.slice(0, length) ?? new Array<null>(length).fill(null);
    columns.set(name, [...before, ...values]);
  }
  return cut({ stepMs: next.stepMs, at: [...old.at.slice(0, length), ...next.at], columns }, keep);
}

function cut(value: Columns, keep: number): Columns {
  const from = Math.max(0, value.at.length - keep);
  if (from === 0) return value;
  const columns = new Map([...value.columns].map(([name, values]) => [name, values.slice(from)]));
  return { stepMs: value.stepMs, at: value.at.slice(from), columns };
}

function columnsOf(history: History): Columns {
  const columns = new Map<string, readonly (number | null)[]>();
  for (const group of [history.rates, history.gauges]) {
    for (const [name, values] of Object.entries(group)) columns.set(name, values);
  }
  return { stepMs: history.step_ms, at: history.at_ms, columns };
}

interface Source<T> {
  readonly everyMs: number;
  load(before: T | null): Promise<T>;
}

/** A feed with those who look at it. */
class Shared<T> {
  readonly store: Store<Feed<T>> = createFigures<Feed<T>>({ value: null, problem: null, loadedMs: 0 });
  private lookers = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private round = 0;

  constructor(private readonly source: Source<T>) {}

  look = (listener: () => void): (() => void) => {
    const leave = this.store.subscribe(listener);
    this.lookers += 1;
    if (this.lookers === 1) void this.turn(++this.round);
    return () => {
      leave();
      this.lookers -= 1;
      if (this.lookers === 0) { this.round += 1; clearTimeout(this.timer); }
    };
  };

  private async turn(round: number): Promise<void> {
    const before = this.store.get();
    let wait = document.hidden ? Math.max(HIDDEN_MS, this.source.everyMs) : this.source.everyMs;
    try {
      const value = await this.source.load(before.value);
      if (round === this.round) this.store.set({ value, problem: null, loadedMs: Date.now() });
    } catch (error) {
      const problem = asProblem(error);
      wait = Math.max(wait, (problem.retryAfterS ?? 2) * 1_000);
      if (round === this.round) this.store.set({ ...before, problem });
    }
    if (round === this.round) this.timer = setTimeout(() => void this.turn(round), wait);
  }
}

export interface Subject {
  readonly pipeline: string | null;
  readonly shard: number | null;
}

const histories = new Map<string, Shared<Columns>>();
const heats = new Map<string, Shared<Heat>>();
/** Feeds that are remembered after the last looker has left: going back to a page shows its picture at once. */
const FEEDS_MAX = 64;

function remembered<T>(feeds: Map<string, Shared<T>>, key: string, make: () => Source<T>): Shared<T> {
  const found = feeds.get(key);
  if (found) return found;
  if (feeds.size >= FEEDS_MAX) feeds.clear();
  const made = new Shared(make());
  feeds.set(key, made);
  return made;
}

function byMinute(spanS: number): boolean {
  return spanS > SECONDS_S;
}

/** Rates and gauges of a subject. */
export function historyFeed(subject: Subject, spanS: number): Shared<Columns> {
  const minutes = byMinute(spanS);
  const keep = minutes ? Math.min(POINTS_MAX, spanS / 60) : SECONDS_S;
  return remembered(histories, `${subject.pipeline ?? ""}/${subject.shard ?? ""}/${minutes ? spanS : "s"}`, () => ({
    everyMs: minutes ? 30_000 : 1_000,
    load: async (before) => {
      // What is newer than the last step, by the clock of the appliance: ours may differ.
      const from = before?.at.at(-1) ?? (minutes ? Date.now() - spanS * 1_000 : undefined);
      const query = {
        ...(subject.pipeline === null ? {} : { pipeline: subject.pipeline }),
        ...(subject.shard === null ? {} : { shard: subject.shard }),
        step: minutes ? "minute" as const : "second" as const,
        ...(from === undefined ? {} : { from_ms: from }),
      };
      const history = await body(client.GET("/api/v1/history", { params: { query } }));
      return joined(before, columnsOf(history), keep);
    },
  }));
}

/** Columns of a heatmap of one stage. */
export function heatFeed(pipeline: string | null, stage: string, spanS: number): Shared<Heat> {
  const minutes = byMinute(spanS);
  const keep = minutes ? Math.min(POINTS_MAX, spanS / 60) : SECONDS_S;
  return remembered(heats, `${pipeline ?? ""}/${stage}/${minutes ? spanS : "s"}`, () => ({
    everyMs: minutes ? 30_000 : 1_000,
    load: async (before) => {
      const from = before?.columns.at(-1)?.at_ms ?? (minutes ? Date.now() - Math.min(spanS, DAY_S - MARGIN_S) * 1_000 : undefined);
      const query = {
        stage, minutes,
        ...(pipeline === null ? {} : { pipeline }),
        ...(from === undefined ? {} : { from_ms: from }),
      };
      const heat = await body(client.GET("/api/v1/latency/heatmap", { params: { query } }));
      const first = heat.columns[0]?.at_ms ?? Infinity;
      const columns = [...(before?.columns ?? []).filter((column) => column.at_ms < first), ...heat.columns].slice(-keep);
      return { stepMs: heat.step_ms, lowerUs: heat.bucket_lower_us, columns };
    },
  }));
}
