/** The SQS side: how much waits, how it shrinks, how full the receives are, what it costs. */

import { useHistory } from "../api/hooks";
import { live } from "../api/live";
import { useCost, useQueue } from "../api/queries";
import { useStore } from "../api/store";
import { Bars } from "../charts/Bars";
import { lastOf, LineChart } from "../charts/LineChart";
import { brief, bytes, count, dollars, percent, rate, short, span } from "../units";
import { Empty, Facts, PageHead, Panel, Read } from "../ui/Bits";
import { chosen } from "../ui/figures";
import { useStale } from "../ui/clock";
import { usePaused, useView } from "../ui/view";

export default function Queues() {
  const [view] = useView();
  const state = useStore(live);
  const pipelines = chosen(state, view.pipeline);
  return (
    <>
      <PageHead title="Queues (SQS)" about="Depths are SQS's own and approximate; everything else Millrace has counted." />
      {pipelines.length === 0 && <Empty title="No pipeline yet" why="A queue is shown for each pipeline of the configuration." command="millrace run --queue URL --brokers HOSTS --topic T" />}
      {pipelines.map((one) => <Queue key={one.name} name={one.name} isOnly={pipelines.length === 1} />)}
      <Cost />
    </>
  );
}

/** Seconds until a queue is empty at this rate: in what comes and what goes of the last minute. `null`: it does not shrink. */
export function timeToEmpty(visible: readonly (number | null)[], stepS: number): number | null {
  const known = visible.map((value, index) => ({ value, index })).filter((one): one is { value: number; index: number } => one.value !== null);
  const first = known[0];
  const last = known.at(-1);
  if (!first || !last || last.index === first.index || last.value === 0) return null;
  const perSecond = (first.value - last.value) / ((last.index - first.index) * stepS);
  return perSecond <= 0 ? null : last.value / perSecond;
}

function sum(values: readonly (number | null)[] | undefined): number {
  return (values ?? []).reduce<number>((all, value) => all + (value ?? 0), 0);
}

function Queue({ name, isOnly }: { readonly name: string; readonly isOnly: boolean }) {
  const [view] = useView();
  const queue = useQueue(name);
  const stale = useStale();
  const history = useHistory({ pipeline: name, shard: null }, view.spanS, usePaused());
  const columns = history.value?.columns;
  const points = view.spanS > 600 ? view.spanS / 60 : view.spanS;
  const at = (history.value?.at ?? []).slice(-points);
  const column = (field: string) => (columns?.get(field) ?? []).slice(-points);
  const visible = column("queue_visible");
  const stepS = (history.value?.stepMs ?? 1_000) / 1_000;
  const left = timeToEmpty(visible, stepS);
  const receives = sum(column("receives"));
  const received = sum(column("received"));
  const empty = sum(column("empty_receives"));
  const depth = lastOf(visible);
  const shape = depth === null ? "SQS has not told how many messages wait; the settings below say why." : left !== null ? `Empty in ${span(left)} at this rate.` : depth === 0 ? "The queue is empty." : "It does not shrink at this rate.";
  return (
    <Panel title={isOnly ? "Queue" : `Queue of ${name}`}>
      <div className="stack">
        <Facts of={[
          ["waiting", brief(lastOf(visible))], ["held by any consumer", brief(lastOf(column("queue_in_flight")))], ["delayed", brief(lastOf(column("queue_delayed")))],
          ["time to empty", left === null ? "–" : span(left)], ["messages per receive", receives === 0 ? "–" : `${short(received / receives)} of 10`],
          ["empty receives", receives === 0 ? "–" : percent(empty / receives)], ["receives", rate(lastOf(column("receives")))], ["receives in flight", count(lastOf(column("pollers")))],
        ]} />
        <div className="columns">
          <LineChart title="Depth" at={at} stale={stale} sync={`queue-${name}`} format={brief} isFilled sentence={shape}
            lines={[{ key: "visible", label: "waiting", look: 0, values: visible }, { key: "held", label: "held", look: 1, values: column("queue_in_flight") }, { key: "delayed", label: "delayed", look: 4, values: column("queue_delayed") }]} />
          <LineChart title="Calls to SQS" at={at} stale={stale} sync={`queue-${name}`} format={rate}
            sentence={`${rate(lastOf(column("receives")))} receives, ${rate(lastOf(column("deletes")))} deletes, ${rate(lastOf(column("extends")))} extensions.`}
            lines={[{ key: "receives", label: "receives", look: 0, values: column("receives") }, { key: "empty", label: "empty receives", look: 4, values: column("empty_receives") }, { key: "deletes", label: "deletes", look: 2, values: column("deletes") }, { key: "errors", label: "errors", look: 1, values: column("request_errors") }]} />
        </div>
        <Read of={queue} what="Queue">
          {(it) => (
            <div className="columns">
              <section>
                <h3>Settings</h3>
                <p className="muted mono">{it.url}</p>
                {it.sqs
                  ? <Facts of={[
                      ["kind", it.sqs.settings.fifo ? "FIFO" : "standard"], ["visibility timeout", span(it.sqs.settings.visibility_timeout_s)], ["retention", span(it.sqs.settings.retention_s)],
                      ["delay", it.sqs.settings.delay_s === 0 ? "none" : span(it.sqs.settings.delay_s)], ["wait time", it.sqs.settings.wait_time_s === 0 ? "none" : span(it.sqs.settings.wait_time_s)],
                      ["largest message", bytes(it.sqs.settings.message_bytes_max)], ["encryption", it.sqs.settings.encryption], ["asked", `${span(it.sqs.age_s)} ago`],
                    ]} />
                  : <p className="muted">SQS has not told them.</p>}
                {it.not_available.length > 0 && <p className="muted">Not available: {it.not_available.join("; ")}</p>}
              </section>
              <section>
                <h3>Dead-letter queue</h3>
                {it.sqs?.dead_letter
                  ? <><p className="mono">{it.sqs.dead_letter.policy.target_arn}</p><Facts of={[["after receives", count(it.sqs.dead_letter.policy.receive_count_max)], ["waiting", count(it.sqs.dead_letter.depth?.visible)], ["held", count(it.sqs.dead_letter.depth?.in_flight)]]} />{it.sqs.dead_letter.trouble && <p className="warn-text">{it.sqs.dead_letter.trouble}</p>}</>
                  : <p className="muted">None: SQS moves nothing away by itself.</p>}
                <h3>Errors since the start</h3>
                {Object.keys(it.requests.errors).length === 0
                  ? <p className="muted">None.</p>
                  : <Bars label="Errors of SQS" head={["operation and code", "count"]} bars={Object.entries(it.requests.errors).sort((a, b) => b[1] - a[1]).map(([key, value]) => ({ key, label: key, value, text: count(value) }))} />}
              </section>
            </div>
          )}
        </Read>
      </div>
    </Panel>
  );
}

function Cost() {
  const cost = useCost();
  return (
    <Panel title="What SQS bills">
      <Read of={cost} what="Cost">
        {(it) => (
          <>
            <div className="scroll" tabIndex={0} role="region" aria-label="Cost by queue">
              <table className="grid">
                <thead><tr><th scope="col">pipeline</th><th scope="col">kind</th><th scope="col" className="number">requests/min</th><th scope="col" className="number">requests per message</th><th scope="col" className="number">per million messages</th><th scope="col" className="number">a day at this rate</th><th scope="col" className="number">since the start</th></tr></thead>
                <tbody>
                  {it.items.map((one) => (
                    <tr key={one.pipeline}>
                      <th scope="row">{one.pipeline}</th><td>{one.kind}</td><td className="number">{brief(one.last_minute?.requests_per_minute)}</td>
                      <td className="number">{one.last_minute?.requests_per_message == null ? "–" : short(one.last_minute.requests_per_message)}</td>
                      <td className="number">{dollars(one.last_minute?.usd_per_million_messages)}</td><td className="number">{dollars(one.last_minute?.usd_per_day)}</td><td className="number">{dollars(one.since_start?.usd)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            <p className="muted">{dollars(it.usd_per_day)} a day, all queues together. Prices of {it.prices.as_of}: {dollars(it.prices.standard_usd_per_million)} a million requests, FIFO {dollars(it.prices.fifo_usd_per_million)} ({it.prices.source}). Senders' requests are not ours to see.</p>
          </>
        )}
      </Read>
    </Panel>
  );
}
