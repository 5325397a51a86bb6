/** Always there: how it is, how much moves, how long it takes; and that every message is accounted for. */

import { useHistory } from "../api/hooks";
import { live, retryNow, type Instance } from "../api/live";
import { useConfig, useMinute } from "../api/queries";
import { useStore } from "../api/store";
import { lastOf } from "../charts/LineChart";
import { brief, clock, count, duration, rate, span } from "../units";
import { Chip, stateMood } from "./Bits";
import { useNow } from "./clock";
import { chosen, law, LOST_MS, STALE_MS, worst } from "./figures";
import { useView } from "./view";

export function Strip() {
  const [view] = useView();
  const state = useStore(live);
  const history = useHistory({ pipeline: view.pipeline, shard: null }, 60);
  const minute = useMinute(view.pipeline).data;
  const config = useConfig().data;
  const pipelines = chosen(state, view.pipeline);
  const stage = (name: string) => minute?.stages.find((one) => one.stage === name)?.percentiles;
  const end = stage("end_to_end");
  const age = stage("sent_to_received");
  const known = (value: number | undefined) => (end === undefined || end.count === 0 ? null : value);
  const column = (name: string) => lastOf((history.value?.columns.get(name) ?? []).slice(-5));
  const rejected = (history.value?.columns.get("rejected") ?? []).slice(-60);
  const perMinute = rejected.length === 0 ? null : rejected.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const held = pipelines.reduce((sum, one) => sum + one.totals.in_flight, 0);
  const word = state.instance?.phase === "running" || state.instance === null ? worst(pipelines) : state.instance.phase;
  const figures: readonly (readonly [string, string])[] = [
    ["in", rate(column("received"))], ["out", rate(column("delivered"))],
    ["p50", duration(known(end?.p50_us))], ["p99", duration(known(end?.p99_us))], ["p99.9", duration(known(end?.p999_us))], ["max", duration(known(end?.max_us))],
    ["oldest age", age === undefined || age.count === 0 ? "–" : span(age.max_us / 1_000_000)],
    ["in flight", state.atMs === 0 ? "–" : count(held)], ["rejects/min", perMinute === null ? "–" : brief(perMinute)],
    ["config", config === undefined ? "–" : `epoch ${config.epoch}`], ["last sample", clock(state.atMs === 0 ? null : state.atMs)],
  ];
  return (
    <>
      <dl className="strip" aria-label="Figures of this moment; latencies are end to end of the last minute">
        <div><dt>state</dt><dd><Chip mood={stateMood(word)}>{word}</Chip></dd></div>
        {figures.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
      </dl>
      <LawLine />
    </>
  );
}

export function LawLine() {
  const [view] = useView();
  const { received, parts, unaccounted } = law(chosen(useStore(live), view.pipeline));
  return (
    <p className="law">
      <span className="sr">Conservation law: </span>
      <span><b>{count(received)}</b> received</span>
      <span>=</span>
      {parts.map((part, index) => <span key={part.name}>{index > 0 && "+ "}<b>{count(part.count)}</b> {part.name}</span>)}
      {unaccounted === 0 ? <span className="tick">✓ adds up</span> : <b className="bad-text">✗ {count(unaccounted)} unaccounted</b>}
    </p>
  );
}

const DRAIN_WORDS: Record<string, string> = {
  paused: "is paused: it receives nothing; what is held is finished",
  draining: "is draining: it receives nothing and finishes what is held",
  stopped: "is stopped: nothing is held and nothing is received",
};

/** "7 of 8 data planes answer." */
export function answering(instances: readonly Instance[]): string {
  return `${instances.filter((one) => !one.stale).length} of ${instances.length} data planes answer.`;
}

/** What makes all that is below it different: staleness, states, a broken law. */
export function Banners() {
  const [view] = useView();
  const state = useStore(live);
  const now = useNow();
  const age = state.atMs === 0 ? 0 : now - state.atMs;
  const { unaccounted } = law(state.pipelines);
  return (
    <>
      {age > LOST_MS && (
        <div className="tint bad" role="alert">
          No figures for {span(age / 1_000)}. {state.problem?.message ?? "The live stream is silent."} The appliance goes on without this screen.
          <button type="button" className="quiet" onClick={retryNow}>Retry now</button>
        </div>
      )}
      {age > STALE_MS && age <= LOST_MS && <div className="tint warn">Figures are {span(age / 1_000)} old.</div>}
      {state.atMs === 0 && state.problem && <div className="tint bad" role="alert">{state.problem.title}: {state.problem.message}</div>}
      {unaccounted !== 0 && <div className="tint bad" role="alert">The conservation law is broken: {count(unaccounted)} received messages have no fate.</div>}
      {view.instance !== null && <div className="tint plain">Pipelines, shards and types are those of {view.instance}. Latency, history, queues and Kafka are of all data planes together.</div>}
      {state.instances.filter((one) => one.stale).map((one) => (
        <div className="tint bad" role="alert" key={one.name}>Data plane {one.name} does not answer{one.age_s == null ? " and never has" : `: its figures are ${span(one.age_s)} old`}; it counts in no sum. {answering(state.instances)}</div>
      ))}
      {state.instance !== null && state.instance.phase !== "running" && <div className="tint warn">This appliance is {state.instance.phase}.</div>}
      {state.pipelines.filter((one) => DRAIN_WORDS[one.state] !== undefined).map((one) => (
        <div className="tint warn" key={one.name}>Pipeline {one.name} {DRAIN_WORDS[one.state]}. {count(one.totals.in_flight)} in flight.</div>
      ))}
      {state.pipelines.filter((one) => one.state === "broken").map((one) => (
        <div className="tint bad" role="alert" key={one.name}>Pipeline {one.name} is broken and receives nothing{one.reason === "" ? "." : `: ${one.reason}`}</div>
      ))}
    </>
  );
}
