/** A saved window beside the present one, stage by stage and percentile by percentile. */

import { useState } from "react";

import { deleteBaseline, useChange } from "../api/actions";
import type { Body } from "../api/client";
import { useBaselines, useComparison } from "../api/queries";
import { PercentileCurve, type Curve } from "../charts/PercentileCurve";
import { clock, count, duration, moment, percentileName, times } from "../units";
import { Chip, Empty, PageHead, Panel, ProblemNotice, Read, RoleButton } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { usePaused, useView } from "../ui/view";
import { labelOf, lookOf } from "./stages";

type StageComparison = Body<"StageComparison">;

/** A change of this size is worth a colour: less is the noise of any machine. */
const NOTABLE = 1.25;

export default function Compare() {
  const [view, change] = useView();
  const baselines = useBaselines();
  const isPaused = usePaused();
  const comparison = useComparison(view.baseline, Math.min(600, view.spanS), view.toMs, isPaused);
  const [gone, setGone] = useState<string | null>(null);
  const deleting = useChange(deleteBaseline, ["baselines"]);
  return (
    <>
      <PageHead title="Compare runs" about="Baselines are saved on the Latency page (key b): before a change, after it, on another machine. They keep whole histograms, so any percentile can be compared." />
      <Panel title="Saved baselines">
        <Read of={baselines} what="Baselines">
          {(data) => data.items.length === 0 ? <Empty title="No baseline yet" why="Save one on the Latency page while messages flow, change something, and come back here." command="millrace demo" /> : (
            <table className="grid">
              <thead><tr><th scope="col">name</th><th scope="col">pipeline</th><th scope="col">window</th><th scope="col" className="number">messages</th><th scope="col">saved</th><th scope="col">note</th><th scope="col">do</th></tr></thead>
              <tbody>
                {data.items.map((one) => (
                  <tr key={one.name} className={one.name === view.baseline ? "picked" : ""}>
                    <th scope="row"><button type="button" className="link" aria-pressed={one.name === view.baseline} onClick={() => change({ baseline: one.name })}>{one.name}</button></th>
                    <td>{one.pipeline === "" ? "all" : one.pipeline}</td><td>{moment(one.from_ms)} to {clock(one.to_ms)}</td><td className="number">{count(one.messages)}</td>
                    <td>{moment(one.saved_ms)} by {one.saved_by}</td><td>{one.note}</td><td><RoleButton needs="operator" onClick={() => { deleting.reset(); setGone(one.name); }}>Delete</RoleButton></td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Read>
      </Panel>
      {comparison.error && <ProblemNotice error={comparison.error} what="Comparison" onRetry={() => void comparison.refetch()} />}
      {view.baseline !== null && comparison.data?.stages.map((stage) => <Stage key={stage.stage} stage={stage} name={view.baseline ?? ""} />)}
      {gone !== null && <Ask title={`Delete ${gone}?`} action="Delete" isDangerous isPending={deleting.isPending} error={deleting.error} onClose={() => setGone(null)} onDo={() => deleting.mutate(gone, { onSuccess: () => { if (gone === view.baseline) change({ baseline: null }); setGone(null); } })} />}
    </>
  );
}

function Stage({ stage, name }: { readonly stage: StageComparison; readonly name: string }) {
  const look = lookOf(stage.stage);
  const curves: Curve[] = [
    { key: "now", label: "now", look, points: stage.now_points },
    { key: "then", label: name, look, points: stage.baseline_points, isBaseline: true },
  ];
  return (
    <Panel title={labelOf(stage.stage)}>
      <div className="split">
        <PercentileCurve title={`${labelOf(stage.stage)}: now and ${name}`} curves={curves} isLog limitUs={null} height={220} sentence={`p99 ${duration(stage.now.p99_us)} now, ${duration(stage.baseline.p99_us)} then.`} />
        <table className="grid">
          <thead><tr><th scope="col">percentile</th><th scope="col" className="number">then</th><th scope="col" className="number">now</th><th scope="col">change</th></tr></thead>
          <tbody>
            {stage.changes.map((one) => (
              <tr key={one.percentile}><th scope="row">{percentileName(one.percentile)}</th><td className="number">{duration(one.baseline_us)}</td><td className="number">{duration(one.now_us)}</td><td><Ratio ratio={one.ratio ?? null} /></td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Ratio({ ratio }: { readonly ratio: number | null }) {
  if (ratio === null) return <span className="muted">too few beyond</span>;
  const mood = ratio > NOTABLE ? "bad" : ratio < 1 / NOTABLE ? "good" : "plain";
  return <Chip mood={mood}>{times(ratio)} {ratio > NOTABLE ? "slower" : ratio < 1 / NOTABLE ? "faster" : "about the same"}</Chip>;
}
