/** What is firing, what it means, what to do; rules, silences, receivers. */

import Button from "@mui/material/Button";
import TextField from "@mui/material/TextField";
import { useState } from "react";
import { Link, useLocation } from "react-router";

import { acknowledge, useChange } from "../api/actions";
import type { Body } from "../api/client";
import { useAlertEvents, useAlerts } from "../api/queries";
import { ago, moment, short } from "../units";
import { Chip, PageHead, Panel, Read, RoleButton, type Mood } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { useNow } from "../ui/clock";
import { Receivers, Rules, Silences, SilenceDialog } from "./AlertParts";

type Alert = Body<"Alert">;

export default function Alerts() {
  const alerts = useAlerts();
  return (
    <>
      <PageHead title="Alerts" />
      <Read of={alerts} what="Alerts">
        {(data) => (
          <div className="stack">
            {data.left_out > 0 && <div className="notice bad">{data.left_out} alerts are left out: there are far too many rules and pipelines.</div>}
            {data.items.length === 0 && <div className="notice good"><b>Nothing is pending or firing.</b><span>What was resolved stays here for an hour.</span></div>}
            {data.items.map((alert) => <Card key={`${alert.rule}/${alert.subject}`} alert={alert} />)}
          </div>
        )}
      </Read>
      <div className="columns"><Silences /><Receivers /></div>
      <Rules />
      <Events />
    </>
  );
}

/** Where an alert's rule is looked at more closely. */
const SCREEN: readonly (readonly [RegExp, string, string])[] = [
  [/queue|oldest|throttled|sqs|delete|cost|clock/, "/queues", "Queues"],
  [/shard|budget|descriptors|disk|figures/, "/shards", "Shards"],
  [/slow|lease/, "/latency", "Latency"],
  [/reject/, "/rejected", "Rejected messages"],
  [/breaker|running|ready/, "/pipelines", "Pipelines"],
];

function screenOf(rule: string): readonly [string, string] {
  const found = SCREEN.find(([pattern]) => pattern.test(rule));
  return found === undefined ? ["/", "Overview"] : [found[1], found[2]];
}

function moodOf(alert: Alert): Mood {
  if (alert.state === "resolved") return "good";
  return alert.state === "firing" && alert.severity === "page" ? "bad" : "warn";
}

function Card({ alert }: { readonly alert: Alert }) {
  const [dialog, setDialog] = useState<"acknowledge" | "silence" | null>(null);
  const [note, setNote] = useState("");
  const taking = useChange(acknowledge, ["alerts", "alert-events"]);
  const { search } = useLocation();
  const [path, label] = screenOf(alert.rule);
  const now = useNow();
  const close = () => setDialog(null);
  const take = () => taking.mutate({ rule: alert.rule, subject: alert.subject, note }, { onSuccess: close });
  return (
    <section className={`notice ${moodOf(alert)}`} aria-label={`${alert.rule} ${alert.subject}`}>
      <div className="row">
        <Chip mood={moodOf(alert)}>{alert.state}</Chip>
        <b>{alert.summary}</b>
        <span className="muted">{alert.severity}{alert.subject === "" ? "" : `, ${alert.subject}`}</span>
      </div>
      <span>{alert.description}</span>
      <span className="muted">
        value {alert.value == null ? "not known" : short(alert.value)}; since {moment(alert.since_ms)} ({ago(alert.since_ms, now)})
        {alert.resolved_ms == null ? "" : `; resolved ${moment(alert.resolved_ms)}`}
        {alert.acknowledged == null ? "" : `; taken on by ${alert.acknowledged.by}${alert.acknowledged.note === "" ? "" : `: ${alert.acknowledged.note}`}`}
        {alert.silenced_by.length > 0 ? `; silenced (${alert.silenced_by.join(", ")})` : ""}
      </span>
      <div className="row">
        <Link to={{ pathname: path, search }}>Open {label}</Link>
        <Link to={`/help?search=${encodeURIComponent(alert.rule)}`}>What to do</Link>
        {alert.state === "firing" && alert.acknowledged == null && <RoleButton needs="operator" onClick={() => { taking.reset(); setDialog("acknowledge"); }}>Take on</RoleButton>}
        {alert.state !== "resolved" && <RoleButton needs="operator" onClick={() => setDialog("silence")}>Silence</RoleButton>}
      </div>
      {dialog === "acknowledge" && (
        <Ask title={`Take ${alert.rule} on`} action="Take on" isPending={taking.isPending} error={taking.error} onClose={close} onDo={take}>
          <p>It is not told again until it is resolved. Everybody sees that it is yours.</p>
          <TextField label="Note for the others" value={note} autoFocus onChange={(event) => setNote(event.target.value)} slotProps={{ htmlInput: { maxLength: 500 } }} />
        </Ask>
      )}
      {dialog === "silence" && <SilenceDialog rule={alert.rule} onClose={close} />}
    </section>
  );
}

function Events() {
  const events = useAlertEvents();
  return (
    <Panel title="What happened">
      <Read of={events} what="Events">
        {(data) => (
          <>
            <div className="scroll" tabIndex={0} role="region" aria-label="Events of alerts">
              <table className="grid">
                <thead><tr><th scope="col">when</th><th scope="col">event</th><th scope="col">rule</th><th scope="col">subject</th><th scope="col">text</th></tr></thead>
                <tbody>
                  {data.pages.flatMap((page) => page.items).map((event) => (
                    <tr key={event.id}><th scope="row">{moment(event.at_ms)}</th><td>{event.event}</td><td>{event.rule}</td><td>{event.subject}</td><td>{event.text}</td></tr>
                  ))}
                </tbody>
              </table>
            </div>
            {events.hasNextPage && <Button onClick={() => void events.fetchNextPage()} disabled={events.isFetchingNextPage}>Older ones</Button>}
          </>
        )}
      </Read>
    </Panel>
  );
}
