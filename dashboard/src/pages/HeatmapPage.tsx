/** Two stages over time, one above the other, on the same columns. */

import { useMemo, useState } from "react";
import { Link } from "react-router";

import { useHeat } from "../api/hooks";
import type { HeatColumn } from "../api/series";
import type { HeatCell } from "../charts/heat";
import { Heatmap, type Picked } from "../charts/Heatmap";
import { clock, count, duration, span } from "../units";
import { Empty, PageHead, Pick, ProblemNotice } from "../ui/Bits";
import { Sheet } from "../ui/Dialogs";
import { useStale } from "../ui/clock";
import { STAGES, stepsOf, usePaused, useView } from "../ui/view";
import { labelOf } from "./stages";

/** Seconds around a cell that a curve of it covers. */
const AROUND_S = 60;
/** Curves reach back ten minutes; a link to an older one would be broken on arrival. */
const KEPT_MS = 570_000;

export default function HeatmapPage() {
  const [first, setFirst] = useState("end_to_end");
  const [second, setSecond] = useState("produce_to_ack");
  const options = STAGES.map((stage) => ({ value: stage.key, label: stage.label }));
  return (
    <>
      <PageHead title="Heatmap" about="Every message counts in one cell: when it was, and how long it took. Seconds of the last ten minutes; longer spans by the minute. A cell opens its window." />
      <Row stage={first} tools={<Pick label="Stage" value={first} onChange={setFirst} options={options} />} />
      <Row stage={second} tools={<Pick label="Stage" value={second} onChange={setSecond} options={options} />} />
    </>
  );
}

function cell(column: HeatColumn): HeatCell {
  const { percentiles } = column;
  return { at_ms: column.at_ms, counts: column.counts, p99_us: percentiles && percentiles.count > 0 ? percentiles.p99_us : null };
}

const inColumn = (column: HeatCell) => (column.counts ?? []).reduce((sum, [, value = 0]) => sum + value, 0);

function Row({ stage, tools }: { readonly stage: string; readonly tools: React.ReactNode }) {
  const [view] = useView();
  const isPaused = usePaused();
  const stale = useStale();
  const [picked, setPicked] = useState<Picked | null>(null);
  const feed = useHeat(view.pipeline, stage, view.spanS, isPaused);
  const stepMs = feed.value?.stepMs ?? 1_000;
  const capacity = stepsOf(view.spanS);
  const columns = useMemo(() => (feed.value?.columns ?? []).slice(-capacity).map(cell), [feed.value, capacity]);
  if (feed.value === null) return feed.problem ? <ProblemNotice error={feed.problem} what={labelOf(stage)} /> : <div className="skeleton" aria-busy="true" />;
  if (columns.length === 0) return <Empty title="Nothing is kept of this span yet" why="Minutes are stored as they end. Choose a shorter span, or come back in a while." />;
  const all = columns.reduce((sum, column) => sum + inColumn(column), 0);
  const unit = stepMs === 1_000 ? "second" : "minute";
  const sentence = all === 0
    ? `No messages in the last ${span((capacity * stepMs) / 1_000)}.`
    : `${count(all)} messages in ${span((columns.length * stepMs) / 1_000)}; p99 of the last ${unit} ${duration(columns.at(-1)?.p99_us)}.`;
  return (
    <>
      {feed.problem && <ProblemNotice error={feed.problem} what={`${labelOf(stage)}, as it was before`} />}
      <Heatmap title={labelOf(stage)} sentence={sentence} columns={columns} lowerUs={feed.value.lowerUs} stepMs={stepMs} capacity={capacity} height={260} stale={stale} tools={tools} onPick={setPicked} />
      {picked && <Cell stage={stage} picked={picked} unit={unit} onClose={() => setPicked(null)} />}
    </>
  );
}

function Cell({ stage, picked, unit, onClose }: { readonly stage: string; readonly picked: Picked; readonly unit: string; readonly onClose: () => void }) {
  const [view] = useView();
  const query = new URLSearchParams({ span: String(AROUND_S), to: String(picked.atMs + (AROUND_S / 2) * 1_000), stages: stage });
  if (view.pipeline !== null) query.set("pipeline", view.pipeline);
  const range = Number.isFinite(picked.toUs) ? `took ${duration(picked.fromUs)} to ${duration(picked.toUs)}` : "of any latency";
  const isKept = Date.now() - picked.atMs < KEPT_MS;
  const tail = view.pipeline === null ? "" : `pipeline=${encodeURIComponent(view.pipeline)}`;
  return (
    <Sheet title={`${labelOf(stage)} at ${clock(picked.atMs)}`} onClose={onClose}>
      <p>{count(picked.count)} messages {range}, in the {unit} to {clock(picked.atMs)}.</p>
      {isKept
        ? <Link to={{ pathname: "/latency", search: query.toString() }}>Percentile curve of the minute around it</Link>
        : <p className="muted">Curves reach back ten minutes; this is older. Its column is kept for thirty days.</p>}
      <Link to={{ pathname: "/rejected", search: tail }}>Rejected messages</Link>
    </Sheet>
  );
}
