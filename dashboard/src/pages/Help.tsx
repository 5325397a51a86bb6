/** What the words mean, what each error wants, what to do at each alert; and all that a report needs. */

import Button from "@mui/material/Button";
import { useSearchParams } from "react-router";

import { live } from "../api/live";
import { useAlertRules, useConfig, useProblems, useSystem } from "../api/queries";
import { useStore } from "../api/store";
import { words } from "../units";
import { Empty, PageHead, Panel, Read } from "../ui/Bits";
import { download } from "../ui/Dialogs";
import { KeyTable } from "../ui/Keys";

const WORDS: readonly (readonly [string, string])[] = [
  ["shard", "One core and all that it owns: connections, leases, producer. Shards share nothing but rings between them."],
  ["lease", "The right to a message until its visibility ends. Millrace extends it in time; a lease that is lost means that SQS hands the message out again."],
  ["in flight", "Messages that Millrace holds: received and neither deleted nor given back."],
  ["handoff", "The way of a record from the shard that received it to the shard that owns its partition."],
  ["ack", "The broker's word that a record is stored (acks=all). Nothing is deleted at SQS before it."],
  ["reject", "A message that can never be delivered goes to the dead-letter topic, with the reason in its headers, and is deleted at SQS then."],
  ["release", "A message is given back to the queue at once: its visibility is set to zero."],
  ["conservation law", "received = delivered + rejected + filtered + released + lease lost + in flight. It holds at every moment; when it does not, that is a bug."],
  ["breaker", "When Kafka or SQS refuses again and again, receiving stops and one probe at a time looks whether it is over."],
  ["epoch", "Number of the configuration in force; each shard says by which it works."],
  ["percentile curve", "x: the share of messages, each nine as wide as the one before; y: the latency that they did not exceed. Flat is good; a step to the right is a tail."],
  ["end to end", "From the receive at SQS to SQS's confirmation of the delete."],
  ["received to acked", "From the receive to the broker's ack: all that Millrace and Kafka add to a message's way."],
  ["sent to received", "From SQS's SentTimestamp to the receive: the time in the queue. It needs clocks that agree."],
];

const TOUR: readonly string[] = [
  "Overview: the strip on top says how it is; red means act. The walk shows where the time goes.",
  "Latency: choose stages, save a baseline (b), change something, compare.",
  "Heatmap: two kinds of messages show as two bands; a cell opens the window around it.",
  "Pipelines: pause before you touch the other side, resume after. Nothing is lost: messages wait in the queue.",
  "Rejected: read why, mend the sender; Configuration: validate, compare, apply, roll back.",
];

export default function Help() {
  const [query, setQuery] = useSearchParams();
  const text = query.get("search") ?? "";
  const search = (value: string) => setQuery((before) => { const after = new URLSearchParams(before); if (value === "") after.delete("search"); else after.set("search", value); return after; }, { replace: true });
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (...parts: readonly string[]) => wanted.every((word) => parts.join(" ").toLowerCase().includes(word));
  const problems = useProblems();
  const rules = useAlertRules();
  const entries = WORDS.filter(([word, meaning]) => fits(word, meaning));
  return (
    <>
      <PageHead title="Help">
        <label className="field" data-filter>Search <input type="search" value={text} onChange={(event) => search(event.target.value)} placeholder="an error code, an alert, a word" /></label>
        <a href="/api/v1" target="_blank" rel="noreferrer">API explorer</a>
        <Bundle />
      </PageHead>
      {text === "" && <Panel title="Five steps"><ol className="stack">{TOUR.map((step, index) => <li key={step}><b>{index + 1}.</b> {step}</li>)}</ol></Panel>}
      <div className="columns">
        <Panel title="Alerts: what to do">
          <Read of={rules} what="Rules">
            {(data) => {
              const found = data.items.filter((one) => fits(one.rule.name, one.rule.summary, one.rule.source));
              return found.length === 0 ? <p className="muted">No alert of this name.</p> : (
                <dl className="stack">{found.map((one) => <div key={one.rule.name}><dt><b>{one.rule.name}</b></dt><dd>{one.rule.summary} Looks at {words(one.rule.source)}. Runbook: <code>{one.rule.runbook ?? `docs/runbooks/${one.rule.name}.md`}</code></dd></div>)}</dl>
              );
            }}
          </Read>
        </Panel>
        <Panel title="Error codes">
          <Read of={problems} what="Error codes">
            {(data) => {
              const found = data.items.filter((one) => fits(one.code, one.title, one.meaning, one.remedy));
              return found.length === 0 ? <p className="muted">No code of this name.</p> : (
                <dl className="stack">{found.map((one) => <div key={one.code} id={one.code}><dt><code>{one.code}</code> <span className="muted">{one.status}</span> <b>{one.title}</b></dt><dd>{one.meaning} {one.remedy}</dd></div>)}</dl>
              );
            }}
          </Read>
        </Panel>
        <Panel title="Words">
          {entries.length === 0 ? <Empty title="No such word" why="Words of the API and of the screen are the same." /> : <dl className="stack">{entries.map(([word, meaning]) => <div key={word}><dt><b>{word}</b></dt><dd>{meaning}</dd></div>)}</dl>}
        </Panel>
        {text === "" && <Panel title="Keys"><KeyTable /></Panel>}
      </div>
    </>
  );
}

/** Everything that a report of a fault needs; the configuration has references to secrets, never secrets. */
function Bundle() {
  const state = useStore(live);
  const config = useConfig().data;
  const system = useSystem().data;
  const save = () => download("millrace-report.json", "application/json", JSON.stringify({
    taken: new Date().toISOString(), browser: navigator.userAgent, instance: state.instance, pipelines: state.pipelines, shards: state.shards, system, config: config?.toml, epoch: config?.epoch,
  }, null, 2));
  return <Button onClick={save} disabled={state.atMs === 0}>Save a report</Button>;
}
