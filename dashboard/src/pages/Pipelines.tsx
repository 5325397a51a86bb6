/** Start, pause, drain, stop; what each does now, and how fast it may. */

import TextField from "@mui/material/TextField";
import { useState } from "react";

import { drainInstance, setRate, steer, useChange, type Verb } from "../api/actions";
import { live, type Instance, type Pipeline } from "../api/live";
import { useAudit, useRate } from "../api/queries";
import { useStore } from "../api/store";
import { ago, bytes, count, rate, span } from "../units";
import { Chip, Empty, Facts, Meter, PageHead, Panel, ProblemNotice, Read, RoleButton, stateMood, useMay } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { chosen } from "../ui/figures";
import { useNow } from "../ui/clock";
import { useView } from "../ui/view";
import { AddPipeline, RemovePipeline } from "./PipelineDialogs";

interface Way {
  readonly verb: Verb;
  readonly label: string;
  readonly does: string;
  readonly isDangerous?: boolean;
}

const WAYS: readonly Way[] = [
  { verb: "pause", label: "Pause", does: "Receives nothing more; what is held is finished. Messages wait in the queue." },
  { verb: "resume", label: "Resume", does: "Receives again." },
  { verb: "drain", label: "Drain", does: "Receives nothing more and waits until nothing is held." },
  { verb: "stop", label: "Stop", does: "Receives nothing, finishes what is held, and gives the rest back to the queue at the drain deadline.", isDangerous: true },
  { verb: "start", label: "Start", does: "Receives again, whether it is paused or stopped." },
];

/** What makes sense in a state. */
function isSensible(verb: Verb, state: string): boolean {
  const isHeld = state === "paused" || state === "draining" || state === "stopped";
  if (verb === "resume") return state === "paused";
  if (verb === "start") return isHeld;
  return !isHeld || verb === "stop";
}

export default function Pipelines() {
  const [view] = useView();
  const state = useStore(live);
  const pipelines = chosen(state, view.pipeline);
  const [all, setAll] = useState<Way | null>(null);
  const [isAdding, setAdding] = useState(false);
  return (
    <>
      <PageHead title="Pipelines">
        {pipelines.length > 1 && WAYS.filter((way) => way.verb === "pause" || way.verb === "resume").map((way) => (
          <RoleButton key={way.verb} needs="operator" onClick={() => setAll(way)}>{way.label} all {pipelines.length}</RoleButton>
        ))}
        <RoleButton needs="admin" onClick={() => setAdding(true)}>Add a pipeline</RoleButton>
      </PageHead>
      {pipelines.length === 0 && <Empty title="No pipeline" why="They are read from the configuration; none has published figures yet." command="millrace config show" />}
      <div className="columns">{pipelines.map((one) => <Card key={one.name} pipeline={one} />)}</div>
      <Instances />
      {isAdding && <AddPipeline onClose={() => setAdding(false)} />}
      {all && <SteerAsk way={all} names={pipelines.map((one) => one.name)} onClose={() => setAll(null)} />}
    </>
  );
}

function SteerAsk({ way, names, onClose }: { readonly way: Way; readonly names: readonly string[]; readonly onClose: () => void }) {
  const [{ instance }] = useView();
  const steering = useChange(async (wanted: readonly string[]) => {
    const told = [];
    for (const name of wanted) told.push(await steer({ name, verb: way.verb, instance }));
    return told;
  }, ["audit"]);
  return (
    <Ask title={`${way.label} ${names.length === 1 ? names[0] ?? "" : `${names.length} pipelines`}?`} action={way.label} isDangerous={way.isDangerous === true} isPending={steering.isPending} error={steering.error} onClose={onClose} onDo={() => steering.mutate(names, { onSuccess: onClose })}>
      <p>{way.does}{instance === null ? "" : ` On ${instance} only.`}</p>
      {names.length > 1 && <p>{names.join(", ")}</p>}
    </Ask>
  );
}

function Card({ pipeline }: { readonly pipeline: Pipeline }) {
  const [way, setWay] = useState<Way | null>(null);
  const [rateOpen, setRateOpen] = useState(false);
  const [isRemoving, setRemoving] = useState(false);
  const [{ instance }] = useView();
  const resuming = useChange(steer, ["audit"]);
  const { totals, name, state } = pipeline;
  const choose = (one: Way) => { if (one.verb === "resume" || one.verb === "start") resuming.mutate({ name, verb: one.verb, instance }); else setWay(one); };
  const isHeld = state !== "running" && state !== "starting" && state !== "broken";
  const applied = pipeline.shards.filter((shard) => shard.state === state).length;
  return (
    <Panel title={name} tools={<Chip mood={stateMood(state)}>{state}</Chip>}>
      <div className="stack">
        {pipeline.reason !== "" && <div className={state === "broken" ? "notice bad" : "notice warn"}>{pipeline.reason}</div>}
        {isHeld && <div><span>{totals.in_flight === 0 ? "Nothing is held." : `${count(totals.in_flight)} messages (${bytes(totals.in_flight_bytes)}) are still held.`} On {applied} of {pipeline.shards.length} shards.</span><Meter ratio={totals.in_flight === 0 ? 1 : 1 / (1 + totals.in_flight / 100)} /></div>}
        <div className="row">
          {WAYS.map((one) => <RoleButton key={one.verb} needs="operator" title={one.does} disabled={!isSensible(one.verb, state) || resuming.isPending} color={one.isDangerous === true ? "error" : "primary"} onClick={() => choose(one)}>{one.label}</RoleButton>)}
          <RoleButton needs="admin" color="error" onClick={() => setRemoving(true)}>Remove</RoleButton>
        </div>
        {resuming.error && <ProblemNotice error={resuming.error} what={`${name} was not told`} />}
        <Facts of={[
          ["received", count(totals.received)], ["delivered", count(totals.delivered)], ["rejected", count(totals.rejected)], ["given back", count(totals.released)],
          ["lease lost", count(totals.lease_lost)], ["in flight", count(totals.in_flight)], ["receives in flight", count(pipeline.pollers)], ["unaccounted", count(pipeline.unaccounted)],
        ]} />
        <Limits name={name} onChange={() => setRateOpen(true)} />
        <LastChange name={name} />
      </div>
      {way && <SteerAsk way={way} names={[name]} onClose={() => setWay(null)} />}
      {isRemoving && <RemovePipeline name={name} onClose={() => setRemoving(false)} />}
      {rateOpen && <RateAsk name={name} onClose={() => setRateOpen(false)} />}
    </Panel>
  );
}

function Limits({ name, onChange }: { readonly name: string; readonly onChange: () => void }) {
  const limits = useRate(name);
  return (
    <Read of={limits} what="Limits">
      {(it) => (
        <div className="row">
          <span>Limits: {it.limited ? [it.limits.messages_per_s == null ? "" : `${rate(it.limits.messages_per_s)} messages`, it.limits.bytes_per_s == null ? "" : `${bytes(it.limits.bytes_per_s)}/s`, it.limits.requests_per_s == null ? "" : `${rate(it.limits.requests_per_s)} requests`].filter(Boolean).join(", ") : "none"}</span>
          <RoleButton needs="operator" onClick={onChange}>Change limits</RoleButton>
        </div>
      )}
    </Read>
  );
}

/** A number of a text field; empty is no limit. */
function limitOf(text: string): number | null | undefined {
  if (text.trim() === "") return null;
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? value : undefined;
}

function RateAsk({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const [{ instance }] = useView();
  const before = useRate(name).data?.limits;
  const text = (value: number | null | undefined) => (value == null ? "" : String(value));
  const [messages, setMessages] = useState(text(before?.messages_per_s));
  const [size, setSize] = useState(text(before?.bytes_per_s));
  const [requests, setRequests] = useState(text(before?.requests_per_s));
  const setting = useChange(setRate, ["rate", "audit"]);
  const values = [limitOf(messages), limitOf(size), limitOf(requests)];
  const isReady = values.every((value) => value !== undefined);
  const put = () => setting.mutate({ name, instance, limits: { messages_per_s: values[0] ?? null, bytes_per_s: values[1] ?? null, requests_per_s: values[2] ?? null } }, { onSuccess: onClose });
  return (
    <Ask title={`Limits of ${name}`} action="Set" isReady={isReady} isPending={setting.isPending} error={setting.error} onClose={onClose} onDo={put}>
      <p>They hold until the configuration changes them or the appliance is started again. Empty: no limit.</p>
      <TextField label="Messages a second" value={messages} autoFocus onChange={(event) => setMessages(event.target.value)} error={values[0] === undefined} />
      <TextField label="Bytes a second" value={size} onChange={(event) => setSize(event.target.value)} error={values[1] === undefined} />
      <TextField label="Requests a second" value={requests} onChange={(event) => setRequests(event.target.value)} error={values[2] === undefined} />
    </Ask>
  );
}

/** The audit log is for admins. */
function LastChange({ name }: { readonly name: string }) {
  const may = useMay("admin");
  const audit = useAudit(may, "", "");
  const now = useNow();
  const found = audit.data?.pages.flatMap((page) => page.items).find((entry) => entry.target.startsWith(`/api/v1/pipelines/${name}/`) && entry.status < 300);
  if (!found) return null;
  return <p className="muted">Last change: {found.operation.replace("pipelines_", "")} by {found.principal}, {ago(found.at_ms, now)}</p>;
}

/** Each data plane with what is its own: the one that is looked at, or all. */
function Instances() {
  const { instance, instances } = useStore(live);
  const [view] = useView();
  const shown = instances.length > 1 && view.instance === null ? instances : instance === null ? [] : [instance];
  return <div className="columns">{shown.map((one) => <Appliance key={one.name} instance={one} />)}</div>;
}

function Appliance({ instance }: { readonly instance: Instance }) {
  const [isOpen, setOpen] = useState(false);
  const draining = useChange(drainInstance, ["audit"]);
  const mood = instance.stale ? "bad" : instance.ready ? "good" : "warn";
  return (
    <Panel title={`Appliance ${instance.name}`} tools={<Chip mood={mood}>{instance.stale ? "silent" : instance.ready ? "ready" : "not ready"}</Chip>}>
      <div className="stack">
        {instance.config_differs.length > 0 && <div className="notice warn">It works by another configuration: {instance.config_differs.join(", ")}. Applying the configuration again brings it up.</div>}
        <Facts of={[["phase", instance.phase], ...(instance.address == null ? [] : [["address", instance.address] as const]), ["version", `${instance.version} (${instance.commit})`], ["up", span(instance.uptime_s)], ["shards", count(instance.shards)], ["CPU since the start", span(instance.cpu_seconds)], ["resident", bytes(instance.rss_bytes)], ["peak", bytes(instance.rss_peak_bytes)], ["descriptors", count(instance.open_fds)]]} />
        {instance.reasons.map((reason) => <div key={reason} className="notice warn">{reason}</div>)}
        <div className="row"><RoleButton needs="admin" color="error" onClick={() => { draining.reset(); setOpen(true); }}>Drain and end the process</RoleButton></div>
      </div>
      {isOpen && (
        <Ask title="End this appliance?" action="Drain and end" isDangerous typed={instance.name} isPending={draining.isPending} error={draining.error} onClose={() => setOpen(false)} onDo={() => draining.mutate(instance.name, { onSuccess: () => setOpen(false) })}>
          <p>As at SIGTERM: it stops receiving, finishes what is held and exits. Whoever started it decides whether it comes back.</p>
        </Ask>
      )}
    </Panel>
  );
}
