/** Is it healthy, and if not, where: the walk, what is wrong in sentences, and four series on one crosshair. */

import { useMemo } from "react";
import { Link, useLocation } from "react-router";

import { useHeat, useHistory } from "../api/hooks";
import { live } from "../api/live";
import { useAlerts, useMinute } from "../api/queries";
import { useStore } from "../api/store";
import { lastOf, LineChart, type Line } from "../charts/LineChart";
import { Topology, type Station } from "../charts/Topology";
import { brief, count, duration, rate, span } from "../units";
import { PageHead, Panel } from "../ui/Bits";
import { chosen, warnings } from "../ui/figures";
import { useStale } from "../ui/clock";
import { stepsOf, usePaused, useView } from "../ui/view";

export default function Overview() {
  return (
    <>
      <PageHead title="Overview" />
      <Walk />
      <div className="split"><Multiples /><Warnings /></div>
    </>
  );
}

function Walk() {
  const [view] = useView();
  const state = useStore(live);
  const minute = useMinute(view.pipeline).data;
  const history = useHistory({ pipeline: view.pipeline, shard: null }, 60);
  const pipelines = chosen(state, view.pipeline);
  const p99 = (stage: string) => {
    const found = minute?.stages.find((one) => one.stage === stage)?.percentiles;
    return found === undefined || found.count === 0 ? "–" : duration(found.p99_us);
  };
  // Records are handed over only where a pipeline has `key_owner` and more shards than one.
  const isWithoutHandoff = p99("pipeline") !== "–" && p99("handoff") === "–";
  const latest = (name: string, back: number) => lastOf((history.value?.columns.get(name) ?? []).slice(-back));
  const isBroken = pipelines.some((one) => one.state === "broken");
  const isIdle = pipelines.every((one) => one.state !== "running");
  const mood: Station["mood"] = pipelines.length === 0 ? "idle" : isBroken ? "bad" : isIdle ? "warn" : "good";
  const visible = latest("queue_visible", 60);
  const stations: Station[] = [
    { key: "queue", label: "queue", figure: visible === null ? "–" : brief(visible), note: "waiting in SQS", mood },
    { key: "receive", label: "receive", figure: p99("receive"), note: "p99, long poll", mood },
    { key: "parse", label: "parse", figure: p99("decode"), note: "p99 of a batch", mood },
    { key: "handoff", label: "handoff", figure: p99("handoff"), note: isWithoutHandoff ? "none here" : "p99 to a shard", mood },
    { key: "produce", label: "produce", figure: p99("produce_to_ack"), note: "p99 to Kafka's ack", mood },
    { key: "topic", label: "delete", figure: p99("ack_to_deleted"), note: "p99 from the ack", mood },
  ];
  const rateOf = (name: string) => { const value = latest(name, 5); return { perSecond: value ?? 0, text: rate(value) }; };
  const received = rateOf("received");
  return (
    <Panel title="The walk of a message" tools={<span className="muted">latencies of the last minute; {count(pipelines.reduce((sum, one) => sum + one.totals.in_flight, 0))} in flight</span>}>
      <Topology label="Queue, stages and topic" stations={stations} rates={[received, received, received, rateOf("produced"), rateOf("delivered")]} />
    </Panel>
  );
}

function Multiples() {
  const [view] = useView();
  const isPaused = usePaused();
  const stale = useStale();
  const history = useHistory({ pipeline: view.pipeline, shard: null }, view.spanS, isPaused);
  const heat = useHeat(view.pipeline, "end_to_end", view.spanS, isPaused);
  const age = useHeat(view.pipeline, "sent_to_received", view.spanS, isPaused);
  const steps = stepsOf(view.spanS);
  const at = useMemo(() => (history.value?.at ?? []).slice(-steps), [history.value, steps]);
  const line = (name: string, label: string, look: number): Line => ({ key: name, label, look, values: (history.value?.columns.get(name) ?? []).slice(-steps) });
  const columns = (heat.value?.columns ?? []).slice(-steps);
  const latency = (key: "p50_us" | "p99_us" | "p999_us", label: string, look: number): Line =>
    ({ key, label, look, values: columns.map((column) => (column.percentiles && column.percentiles.count > 0 ? column.percentiles[key] : null)) });
  const ages = (age.value?.columns ?? []).slice(-steps);
  const p99 = lastOf(latency("p99_us", "", 0).values);
  const step = view.spanS > 600 ? "minute" : "second";
  const [inward, outward, rejects] = [line("received", "in", 0), line("delivered", "out", 2), line("rejected", "rejects", 1)];
  const shared = { sync: "overview", stale };
  return (
    <div className="columns">
      <LineChart {...shared} title="Messages in and out" at={at} lines={[inward, outward]} format={rate} sentence={`${rate(lastOf(inward.values))} in, ${rate(lastOf(outward.values))} out.`} />
      <LineChart
        {...shared} title="Latency, end to end" at={columns.map((column) => column.at_ms)} format={duration} isDuration isLog
        lines={[latency("p50_us", "p50", 2), latency("p99_us", "p99", 0), latency("p999_us", "p99.9", 1)]}
        sentence={p99 === null ? `No messages in the last ${span(view.spanS)}.` : `p99 ${duration(p99)} in the last ${step}. Each point is a percentile of its own ${step}.`}
      />
      <LineChart
        {...shared} title="Oldest age" at={ages.map((column) => column.at_ms)} format={duration} isDuration
        lines={[{ key: "age", label: "oldest received", look: 4, values: ages.map((column) => (column.percentiles && column.percentiles.count > 0 ? column.percentiles.max_us : null)) }]}
        sentence={`Longest wait in the queue among the messages received in each ${step}.`}
      />
      <LineChart
        {...shared} title="Rejects" at={at} lines={[rejects]} format={rate}
        sentence={rejects.values.some((value) => (value ?? 0) > 0) ? `${rate(lastOf(rejects.values))} go to the dead-letter topic.` : `None in the last ${span(view.spanS)}.`}
      />
    </div>
  );
}

function Warnings() {
  const state = useStore(live);
  const alerts = useAlerts();
  const { search } = useLocation();
  const found = warnings(state);
  const firing = alerts.data?.items.filter((alert) => alert.state !== "resolved") ?? [];
  return (
    <Panel title="What wants attention">
      <div className="stack">
        {found.length === 0 && firing.length === 0 && <div className="notice good"><b>Nothing.</b><span>{state.atMs === 0 ? "Figures have not arrived yet." : "No alert is pending or firing, and every pipeline runs."}</span></div>}
        {found.map((one) => (
          <div key={one.key} className={`notice ${one.mood}`}>
            <span>{one.text}</span>
            <div className="row"><Link to={one.to.includes("?") ? one.to : { pathname: one.to, search }}>{one.action}</Link></div>
          </div>
        ))}
        {firing.map((alert) => (
          <div key={`${alert.rule}/${alert.subject}`} className={`notice ${alert.state === "firing" && alert.severity === "page" ? "bad" : "warn"}`}>
            <b>{alert.summary}</b>
            <span>{alert.description}</span>
            <div className="row"><span className="muted">{alert.state}{alert.subject === "" ? "" : `, ${alert.subject}`}</span><Link to={{ pathname: "/alerts", search }}>Open alerts</Link></div>
          </div>
        ))}
      </div>
    </Panel>
  );
}
