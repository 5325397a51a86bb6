/** The Kafka side: how it takes what is produced, where records lie, how far consumers are. */

import { useState } from "react";
import { Link, useLocation } from "react-router";

import { useHeat, useHistory } from "../api/hooks";
import { live } from "../api/live";
import { useGroup, useGroups, useTopic, useTopics } from "../api/queries";
import { useStore } from "../api/store";
import { Bars } from "../charts/Bars";
import { lastOf, LineChart } from "../charts/LineChart";
import { brief, bytes, count, duration, rate, times } from "../units";
import { Empty, Facts, PageHead, Panel, Pick, Read } from "../ui/Bits";
import { chosen, imbalance } from "../ui/figures";
import { useStale } from "../ui/clock";
import { usePaused, useView } from "../ui/view";

export default function Kafka() {
  return (
    <>
      <PageHead title="Kafka" />
      <Produce />
      <div className="columns"><Partitions /><Groups /></div>
    </>
  );
}

function Produce() {
  const [view] = useView();
  const isPaused = usePaused();
  const stale = useStale();
  const pipelines = chosen(useStore(live), view.pipeline);
  const history = useHistory({ pipeline: view.pipeline, shard: null }, view.spanS, isPaused);
  const heat = useHeat(view.pipeline, "produce_to_ack", view.spanS, isPaused);
  const points = view.spanS > 600 ? view.spanS / 60 : view.spanS;
  const at = (history.value?.at ?? []).slice(-points);
  const column = (name: string) => (history.value?.columns.get(name) ?? []).slice(-points);
  const columns = (heat.value?.columns ?? []).slice(-points);
  const ack = (key: "p50_us" | "p99_us" | "max_us") => columns.map((one) => (one.percentiles && one.percentiles.count > 0 ? one.percentiles[key] : null));
  const total = (pick: (one: (typeof pipelines)[number]["totals"]) => number) => pipelines.reduce((sum, one) => sum + pick(one.totals), 0);
  const errors = new Map<string, number>();
  for (const one of pipelines) for (const [code, value] of Object.entries(one.kafka_errors)) errors.set(code, (errors.get(code) ?? 0) + value);
  return (
    <Panel title="Producing">
      <div className="stack">
        <Facts of={[
          ["produced", brief(total((one) => one.produced))], ["delivered bytes", bytes(total((one) => one.delivered_bytes))], ["retries", count(total((one) => one.produce_retries))],
          ["may be stored twice", count(total((one) => one.ambiguous))], ["breaker opened", count(total((one) => one.breaker_opened))], ["producers rebuilt", count(total((one) => one.producer_rebuilds))],
        ]} />
        <div className="columns">
          <LineChart title="Produce to ack" at={columns.map((one) => one.at_ms)} isDuration isLog format={duration} sync="kafka" stale={stale}
            lines={[{ key: "p50", label: "p50", look: 2, values: ack("p50_us") }, { key: "p99", label: "p99", look: 0, values: ack("p99_us") }, { key: "max", label: "max", look: 1, values: ack("max_us") }]}
            sentence={`p99 ${duration(lastOf(ack("p99_us")))} from the producer taking a record to the broker's ack.`} />
          <LineChart title="Records" at={at} format={rate} sync="kafka" stale={stale}
            lines={[{ key: "produced", label: "produced", look: 0, values: column("produced") }, { key: "retries", label: "retries", look: 1, values: column("produce_retries") }]}
            sentence={`${rate(lastOf(column("produced")))} produced, repeats and dead letters included.`} />
        </div>
        {errors.size > 0 && <Bars label="Errors of Kafka by code" head={["code", "count since the start"]} bars={[...errors].sort((a, b) => b[1] - a[1]).map(([key, value]) => ({ key, label: key, value, text: count(value) }))} />}
      </div>
    </Panel>
  );
}

function Partitions() {
  const [view] = useView();
  const { search } = useLocation();
  const topics = useTopics(view.pipeline, false);
  const [chosenTopic, choose] = useState("");
  const all = topics.data?.pages.flatMap((page) => page.items) ?? [];
  const used = all.filter((topic) => topic.used_by.length > 0);
  const name = chosenTopic !== "" ? chosenTopic : (used[0] ?? all[0])?.name ?? null;
  const topic = useTopic(name, view.pipeline);
  return (
    <Panel title="Partitions" tools={all.length > 0 ? <Pick label="Topic" value={name ?? ""} onChange={choose} options={all.map((one) => ({ value: one.name, label: one.name }))} /> : undefined}>
      <Read of={topics} what="Topics">
        {() => name === null ? <Empty title="There are no topics" why="The cluster has none that this appliance may see." /> : (
          <Read of={topic} what={`Topic ${name}`}>
            {(it) => {
              const skew = imbalance(it.by_partition.map((one) => one.messages_estimated ?? 0));
              const bad = it.by_partition.filter((one) => one.leader == null || one.in_sync.length < one.replicas.length).length;
              return (
                <div className="stack">
                  <Facts of={[["messages, estimated", brief(it.messages_estimated)], ["partitions", count(it.partitions)], ["skew", times(skew)], ["under-replicated", count(bad)]]} />
                  <Bars label={`Partitions of ${name}`} head={["partition", "messages, estimated", "leader", "in sync"]}
                    bars={it.by_partition.map((one) => ({ key: String(one.id), label: String(one.id), value: one.messages_estimated ?? 0, text: brief(one.messages_estimated), more: [one.leader == null ? "none" : `broker ${one.leader}`, `${one.in_sync.length} of ${one.replicas.length}`] }))} />
                  <Link to={{ pathname: "/topics", search }}>All topics</Link>
                </div>
              );
            }}
          </Read>
        )}
      </Read>
    </Panel>
  );
}

function Groups() {
  const [view] = useView();
  const groups = useGroups(view.pipeline);
  // Nothing is broken: no action of the reader would change it.
  const isUnsupported = groups.data === undefined && groups.error?.code === "unprocessable";
  const [name, choose] = useState<string | null>(null);
  const group = useGroup(name, view.pipeline);
  return (
    <Panel title="Consumer groups">
      {isUnsupported ? <Empty title="These brokers tell no consumer groups" why={groups.error?.message ?? ""} /> : <Read of={groups} what="Consumer groups">
        {(it) => it.items.length === 0 ? <Empty title="No consumer group" why="Nobody who commits positions reads from this cluster." command="kcat -G readers -b BROKERS TOPIC" /> : (
          <div className="stack">
            <table className="grid">
              <thead><tr><th scope="col">group</th><th scope="col">state</th><th scope="col" className="number">members</th></tr></thead>
              <tbody>{it.items.map((one) => <tr key={one.name} className={one.name === name ? "picked" : ""}><th scope="row"><button type="button" className="link" onClick={() => choose(one.name)}>{one.name}</button></th><td>{one.state}</td><td className="number">{count(one.members)}</td></tr>)}</tbody>
            </table>
            {name !== null && (
              <Read of={group} what={`Group ${name}`}>
                {(one) => <Bars label={`Lag of ${name}`} head={["partition", `lag, together ${brief(one.lag)}`, "committed", "end"]}
                  bars={one.by_partition.map((part) => ({ key: `${part.topic}/${part.partition}`, label: `${part.topic} ${part.partition}`, value: part.lag ?? 0, text: brief(part.lag), more: [count(part.committed), count(part.end)] }))} />}
              </Read>
            )}
          </div>
        )}
      </Read>}
    </Panel>
  );
}
