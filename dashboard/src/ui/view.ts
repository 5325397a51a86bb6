/** What is looked at: pipeline, span, moment, stages, baseline. It lives in the address, so that a link shows the same. */

import { useCallback, useMemo } from "react";
import { useSearchParams } from "react-router";

import { createStore, useStore } from "../api/store";

/** Spans in seconds. The first three are kept by the second, the others by the minute. */
export const SPANS: readonly { readonly seconds: number; readonly label: string }[] = [
  { seconds: 60, label: "1 m" }, { seconds: 300, label: "5 m" }, { seconds: 600, label: "10 m" },
  { seconds: 3_600, label: "1 h" }, { seconds: 21_600, label: "6 h" }, { seconds: 86_400, label: "24 h" },
];

export const STAGES: readonly { readonly key: string; readonly label: string }[] = [
  { key: "receive", label: "receive" }, { key: "decode", label: "decode" }, { key: "pipeline", label: "pipeline" },
  { key: "handoff", label: "handoff" }, { key: "produce_to_ack", label: "produce to ack" },
  { key: "ack_to_deleted", label: "ack to deleted" }, { key: "end_to_end", label: "end to end" },
  { key: "received_to_acked", label: "received to acked" }, { key: "sent_to_received", label: "sent to received" },
];

/** Stages that are drawn unless others are chosen. */
const USUAL = ["pipeline", "produce_to_ack", "ack_to_deleted", "end_to_end"];
const SPAN_USUAL_S = 300;

export interface View {
  readonly pipeline: string | null;
  /** One of several data planes; all when it is null. */
  readonly instance: string | null;
  readonly spanS: number;
  /** End of the window; now when it is null. */
  readonly toMs: number | null;
  readonly stages: readonly string[];
  readonly baseline: string | null;
}

export function readView(query: URLSearchParams): View {
  const span = Number(query.get("span"));
  const to = Number(query.get("to"));
  const stages = (query.get("stages") ?? "").split(",").filter((stage) => STAGES.some((known) => known.key === stage));
  return {
    pipeline: query.get("pipeline"),
    instance: query.get("instance"),
    spanS: SPANS.some((one) => one.seconds === span) ? span : SPAN_USUAL_S,
    toMs: Number.isSafeInteger(to) && to > 0 ? to : null,
    stages: query.has("stages") ? stages : USUAL,
    baseline: query.get("baseline"),
  };
}

export function useView(): readonly [View, (change: Partial<View>) => void] {
  const [query, setQuery] = useSearchParams();
  const view = useMemo(() => readView(query), [query]);
  const change = useCallback((wanted: Partial<View>) => {
    setQuery((before) => {
      const after = new URLSearchParams(before);
      const put = (name: string, value: string | null) => { if (value === null) after.delete(name); else after.set(name, value); };
      if (wanted.pipeline !== undefined) put("pipeline", wanted.pipeline);
      if (wanted.instance !== undefined) put("instance", wanted.instance);
      if (wanted.spanS !== undefined) put("span", String(wanted.spanS));
      if (wanted.toMs !== undefined) put("to", wanted.toMs === null ? null : String(wanted.toMs));
      if (wanted.stages !== undefined) put("stages", wanted.stages.join(","));
      if (wanted.baseline !== undefined) put("baseline", wanted.baseline);
      return after;
    }, { replace: true });
  }, [setQuery]);
  return [view, change];
}

/** Steps that a span has. */
export function stepsOf(spanS: number): number {
  return spanS > 600 ? spanS / 60 : spanS;
}

/** Pause stops the drawing, not the collecting. */
export const paused = createStore(false);

export function usePaused(): boolean {
  return useStore(paused);
}
