/** Where the time of a typical message goes, and of a slow one. */

import { useState } from "react";

import type { Body } from "../api/client";
import { useCurves } from "../api/queries";
import { valueAt } from "../charts/curve";
import { count, duration, percent, span, UNKNOWN } from "../units";
import { Choice, Empty, PageHead, Panel, Read } from "../ui/Bits";
import { usePaused, useView } from "../ui/view";
import { labelOf, lookOf } from "./stages";

type Stage = Body<"StageCurve">;

/** Stages that follow each other between the receive and the delete. */
const WALK = ["decode", "pipeline", "handoff", "produce_to_ack", "ack_to_deleted"];
const TYPICAL: readonly { readonly percentile: number; readonly label: string }[] = [
  { percentile: 50, label: "median" }, { percentile: 90, label: "p90" }, { percentile: 99, label: "p99" }, { percentile: 99.9, label: "p99.9" },
];

export default function Waterfall() {
  const [view] = useView();
  const isPaused = usePaused();
  const [kind, setKind] = useState<"time" | "share">("time");
  const curves = useCurves({ pipeline: view.pipeline, windowS: Math.min(600, view.spanS), toMs: view.toMs }, isPaused);
  return (
    <>
      <PageHead title="Waterfall" about="Each bar is the percentile of its own stage. Percentiles of stages do not add up to that of the whole: what is left of it is shown as waiting, what is too much is told.">
        <Choice label="Bars show" value={kind} onChange={setKind} options={[{ value: "time", label: "time" }, { value: "share", label: "share" }]} />
      </PageHead>
      <Read of={curves} what="Stages">
        {(data) => {
          const whole = data.stages.find((one) => one.stage === "end_to_end");
          if (whole === undefined || whole.percentiles.count === 0) {
            return <Empty title={`No messages in the last ${span((data.to_ms - data.from_ms) / 1_000)}`} why="Nothing was delivered within the window." command="millrace demo" />;
          }
          return (
            <Panel title={`${count(whole.percentiles.count)} messages in ${span((data.to_ms - data.from_ms) / 1_000)}`}>
              <div className="falls">{TYPICAL.map((one) => <Walk key={one.label} label={one.label} percentile={one.percentile} stages={data.stages} isShare={kind === "share"} slowest={valueAt(whole.points, 99.9) ?? 1} />)}</div>
            </Panel>
          );
        }}
      </Read>
    </>
  );
}

interface Part {
  readonly key: string;
  readonly label: string;
  /** `null` of a stage that no message went through, which is not 0 µs. */
  readonly us: number | null;
}

function sumOf(parts: readonly Part[]): number {
  return parts.reduce((sum, part) => sum + (part.us ?? 0), 0);
}

/** The stages of a typical message, and what is left of the whole. */
export function partsOf(stages: readonly Stage[], percentile: number): { parts: Part[]; whole: number; excess: number } {
  const at = (stage: string) => valueAt(stages.find((one) => one.stage === stage && one.percentiles.count > 0)?.points ?? [], percentile);
  const whole = at("end_to_end") ?? 0;
  const parts: Part[] = WALK.map((stage) => ({ key: stage, label: labelOf(stage), us: at(stage) }));
  const sum = sumOf(parts);
  if (sum < whole) parts.splice(3, 0, { key: "waiting", label: "waiting", us: whole - sum });
  return { parts, whole, excess: Math.max(0, sum - whole) };
}

const WIDTH = 1_000;

export function Walk({ label, percentile, stages, isShare, slowest }: {
  readonly label: string; readonly percentile: number; readonly stages: readonly Stage[]; readonly isShare: boolean; readonly slowest: number;
}) {
  const { parts, whole, excess } = partsOf(stages, percentile);
  const sum = sumOf(parts);
  const taken = parts.flatMap((part) => (part.us === null ? [] : [{ key: part.key, label: part.label, us: part.us }]));
  const full = isShare ? sum : Math.max(slowest, sum);
  let x = 0;
  const largest = taken.reduce((most, part) => (part.us > most.us ? part : most), { key: "", label: "nothing", us: 0 });
  const textOf = (us: number) => (isShare ? percent(sum === 0 ? 0 : us / sum) : duration(us));
  return (
    <figure aria-label={`${label}: ${duration(whole)} end to end`}>
      <div className="row"><h3>{label}</h3><b>{duration(whole)}</b><span className="muted">end to end; {largest.label} is the largest part ({percent(sum === 0 ? 0 : largest.us / sum)})</span></div>
      <svg className="fall" viewBox={`0 0 ${WIDTH} 26`} preserveAspectRatio="none" aria-hidden="true" width="100%" height="26">
        {taken.map((part) => {
          const width = full === 0 ? 0 : (part.us / full) * WIDTH;
          const from = x;
          x += width;
          return <rect key={part.key} x={from} y="2" width={Math.max(width - 1, 0.5)} height="22" className={part.key === "waiting" ? "waiting" : `fill-${lookOf(part.key)}`} />;
        })}
      </svg>
      <div className="scroll" tabIndex={0} role="region" aria-label={`Stages at ${label}`}>
        <table className="grid">
          <thead><tr>{parts.map((part) => <th key={part.key} scope="col"><svg width="10" height="10" aria-hidden="true"><rect width="10" height="10" className={part.key === "waiting" ? "waiting" : `fill-${lookOf(part.key)}`} /></svg> {part.label}</th>)}</tr></thead>
          <tbody><tr>{parts.map((part) => <td key={part.key}>{part.us === null ? <Skipped stage={part.key} /> : textOf(part.us)}</td>)}</tr></tbody>
        </table>
      </div>
      {excess > 0 && <p className="muted">Together the stages' own {label} are {duration(excess)} more than the whole's: slow stages of different messages.</p>}
    </figure>
  );
}

/** A stage that no message of the window went through. */
function Skipped({ stage }: { readonly stage: string }) {
  return <>{UNKNOWN} <span className="muted">{stage === "handoff" ? "no handoff on this appliance" : `no ${labelOf(stage)} in this window`}</span></>;
}
