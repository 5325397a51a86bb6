/** Percentile curves of a window, stage by stage, beside a baseline. */

import Button from "@mui/material/Button";
import { useMemo, useState } from "react";

import type { Body } from "../api/client";
import { useBaselines, useComparison, useCurves } from "../api/queries";
import { valueAt } from "../charts/curve";
import { PercentileCurve, percentileTable, type Curve } from "../charts/PercentileCurve";
import { clock, count, duration, nanoseconds, span } from "../units";
import { Choice, Empty, PageHead, Panel, Pick, ProblemNotice, Read } from "../ui/Bits";
import { useStale } from "../ui/clock";
import { STAGES, usePaused, useView } from "../ui/view";
import { ExportMenu, ImportButton, SaveBaseline } from "./LatencyTools";
import { curvesOf, labelOf, largestStage, lookOf } from "./stages";

/** Longest window of a curve: what the appliance keeps second by second. */
const WINDOW_S_MAX = 600;
const SCALES = [{ value: "log", label: "log" }, { value: "linear", label: "linear" }] as const;

/** What the curves say, in a sentence. */
function sentenceOf(data: Body<"Curves">, windowS: number): string {
  const end = data.stages.find((one) => one.stage === "end_to_end")?.percentiles;
  if (end === undefined || end.count === 0) return `No messages end to end in the ${span(windowS)} to ${clock(data.to_ms)}.`;
  const largest = largestStage(data.stages);
  const closing = largest === null ? "" : `; ${largest} is the largest stage`;
  return `${span((data.to_ms - data.from_ms) / 1_000)} to ${clock(data.to_ms)}, ${count(end.count)} messages: end to end p99 ${duration(end.p99_us)}${closing}.${data.has_gap ? " A part of it is not known." : ""}`;
}

export default function Latency() {
  const [view, change] = useView();
  const isPaused = usePaused();
  const stale = useStale();
  const [isLog, setLog] = useState(true);
  const [limit, setLimit] = useState("");
  const [imported, setImported] = useState<readonly Curve[]>([]);
  const windowS = Math.min(view.spanS, WINDOW_S_MAX);
  const window = { pipeline: view.pipeline, windowS, toMs: view.toMs };
  const curves = useCurves(window, isPaused);
  const baselines = useBaselines();
  const comparison = useComparison(view.baseline, windowS, view.toMs, isPaused);
  const limitMs = Number(limit);
  const limitUs = limit !== "" && limitMs > 0 ? limitMs * 1_000 : null;

  const shown = useMemo(() => {
    const now = curvesOf(curves.data?.stages ?? [], view.stages);
    const then = view.baseline === null ? [] : (comparison.data?.stages ?? [])
      .filter((one) => view.stages.includes(one.stage) && one.baseline.count > 0)
      .map((one): Curve => ({ key: `${one.stage}-then`, label: `${labelOf(one.stage)}, ${view.baseline ?? ""}`, look: lookOf(one.stage), points: one.baseline_points, isBaseline: true }));
    return [...now, ...then, ...imported];
  }, [curves.data, view.stages, view.baseline, comparison.data, imported]);
  const toggle = (key: string) => change({ stages: view.stages.includes(key) ? view.stages.filter((one) => one !== key) : [...view.stages, key] });

  return (
    <>
      <PageHead title="Latency" about="Each nine is as wide as the one before it, so that the tail is seen. Percentiles are read from histograms that were added up, never averaged.">
        <SaveBaseline window={window} />
        <ImportButton onCurve={(curve) => setImported([...imported, curve])} look={6 + (imported.length % 2)} />
        <ExportMenu window={window} curves={shown} />
      </PageHead>
      <div className="row" role="group" aria-label="Stages">
        {STAGES.map((stage, index) => (
          <button key={stage.key} type="button" className="chip plain pick" aria-pressed={view.stages.includes(stage.key)} onClick={() => toggle(stage.key)}>
            {stage.label}{index < 7 && <kbd aria-hidden="true">{index + 1}</kbd>}
          </button>
        ))}
      </div>
      <div className="row">
        <Choice label="Scale" value={isLog ? "log" : "linear"} onChange={(value) => setLog(value === "log")} options={SCALES} />
        <label className="field">Limit, ms <input inputMode="decimal" value={limit} onChange={(event) => setLimit(event.target.value)} size={6} /></label>
        <Pick
          label="Baseline" value={view.baseline ?? ""} onChange={(name) => change({ baseline: name === "" ? null : name })}
          options={[{ value: "", label: "none" }, ...(baselines.data?.items ?? []).map((one) => ({ value: one.name, label: one.name }))]}
        />
        {imported.length > 0 && <Button onClick={() => setImported([])}>Remove imported</Button>}
      </div>
      {view.spanS > WINDOW_S_MAX && <div className="notice">Curves reach back ten minutes; this one shows the last of them. For longer spans: the heatmap, or <code>millrace_stage_duration_seconds</code> in Prometheus.</div>}
      {comparison.error && <ProblemNotice error={comparison.error} what="Baseline" />}
      <Read of={curves} what="Curves">
        {(data) => shown.length === 0
          ? <Empty title={`No messages in the ${span(windowS)} to ${clock(data.to_ms)}`} why="The chosen stages have recorded nothing in this window." command="millrace demo" />
          : (
            <>
              <PercentileCurve title="Percentile curves" sentence={sentenceOf(data, windowS)} curves={shown} isLog={isLog} limitUs={limitUs} height={380} stale={stale} />
              <Panel title="Percentiles"><Percentiles curves={shown} /></Panel>
            </>
          )}
      </Read>
    </>
  );
}

/** A click on a figure copies it whole. */
function Percentiles({ curves }: { readonly curves: readonly Curve[] }) {
  const table = percentileTable(curves);
  const [copied, setCopied] = useState("");
  const copy = (row: number, column: number) => {
    const percentile = Number(/^p(.+)$/.exec(table.rows[row]?.[0] ?? "")?.[1] ?? 100);
    const us = valueAt(curves[column]?.points ?? [], percentile);
    if (us !== null) void navigator.clipboard.writeText(nanoseconds(us)).then(() => setCopied(`${nanoseconds(us)} ns copied`), () => setCopied("The clipboard is not available."));
  };
  return (
    <>
      <div className="scroll" tabIndex={0} role="region" aria-label="Percentiles by stage">
        <table className="grid">
          <thead><tr>{table.head.map((name, index) => <th key={name} scope="col" className={index > 0 ? "number" : ""}>{name}</th>)}</tr></thead>
          <tbody>
            {table.rows.map((row, at) => (
              <tr key={row[0]}>
                {row.map((cell, index) => index === 0
                  ? <th key={index} scope="row">{cell}</th>
                  : <td key={index} className="number">{at < table.rows.length - 1 ? <button type="button" className="quiet" title="Copy nanoseconds" onClick={() => copy(at, index - 1)}>{cell}</button> : cell}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="muted" role="status">{copied === "" ? "A figure copies its nanoseconds." : copied}</p>
    </>
  );
}
