/** Making, changing, growing and deleting a topic: the cluster is asked first whether it would, then it is done. */

import TextField from "@mui/material/TextField";
import { useState } from "react";

import { addPartitions, alterTopic, createTopic, deleteTopic, useChange } from "../api/actions";
import type { Body } from "../api/client";
import { Ask } from "../ui/Dialogs";

type ConfigView = Body<"ConfigView">;

/** What the cluster said. */
function Warnings({ of }: { readonly of: readonly string[] | undefined }) {
  return <>{(of ?? []).map((text) => <div key={text} className="notice warn">{text}</div>)}</>;
}

/** Lines `name=value`; an empty value takes a config back to its default. Throws for a line of another form. */
export function readConfigs(text: string): Record<string, string | null> {
  const configs: Record<string, string | null> = {};
  for (const line of text.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const at = line.indexOf("=");
    if (at < 1) throw new Error(`“${line}” has no “=”: write name=value`);
    const value = line.slice(at + 1).trim();
    configs[line.slice(0, at).trim()] = value === "" ? null : value;
  }
  return configs;
}

function parsed(text: string): { configs: Record<string, string | null>; problem: string | null } {
  try { return { configs: readConfigs(text), problem: null }; } catch (error) { return { configs: {}, problem: error instanceof Error ? error.message : String(error) }; }
}

export function CreateTopic({ pipeline, onClose }: { readonly pipeline: string | null; readonly onClose: () => void }) {
  const [name, setName] = useState("");
  const [partitions, setPartitions] = useState("12");
  const [replication, setReplication] = useState("");
  const [text, setText] = useState("");
  const preview = useChange(createTopic);
  const making = useChange(createTopic, ["topics"]);
  const { configs, problem } = parsed(text);
  const given = Object.fromEntries(Object.entries(configs).filter((entry): entry is [string, string] => entry[1] !== null));
  const topic = { name, partitions: Number(partitions), configs: given, ...(replication === "" ? {} : { replication: Number(replication) }) };
  const isReady = /^[A-Za-z0-9._-]{1,249}$/.test(name) && Number(partitions) >= 1 && problem === null;
  const checked = preview.data !== undefined;
  const change = (set: (value: string) => void) => (event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => { set(event.target.value); preview.reset(); };
  const run = () => checked ? making.mutate({ topic, pipeline, dryRun: false }, { onSuccess: onClose }) : preview.mutate({ topic, pipeline, dryRun: true });
  return (
    <Ask title="Create a topic" action={checked ? "Create" : "Ask the cluster"} isReady={isReady} isPending={preview.isPending || making.isPending} error={making.error ?? preview.error} onClose={onClose} onDo={run}>
      <TextField label="Name" value={name} autoFocus required onChange={change(setName)} helperText="1 to 249 of letters, digits, . _ and -" />
      <TextField label="Partitions" value={partitions} type="number" onChange={change(setPartitions)} />
      <TextField label="Replicas" value={replication} type="number" onChange={change(setReplication)} helperText="Empty: the brokers' default" />
      <TextField label="Configs" value={text} multiline minRows={3} onChange={change(setText)} error={problem !== null} helperText={problem ?? "One a line: retention.ms=86400000"} />
      {checked && <div className="notice good" role="status">The cluster would make it.</div>}
      <Warnings of={preview.data?.warnings} />
    </Ask>
  );
}

interface AlterProps {
  readonly topic: string;
  readonly pipeline: string | null;
  readonly configs: readonly ConfigView[];
  readonly onClose: () => void;
}

export function AlterTopic({ topic, pipeline, configs: before, onClose }: AlterProps) {
  const own = before.filter((one) => !one.is_default && !one.read_only && one.value != null);
  const [text, setText] = useState(own.map((one) => `${one.name}=${one.value ?? ""}`).join("\n"));
  const preview = useChange(alterTopic);
  const altering = useChange(alterTopic, ["topic", "topics"]);
  const { configs, problem } = parsed(text);
  const valueOf = (name: string) => before.find((one) => one.name === name)?.value ?? null;
  const changed = Object.entries(configs).filter(([name, value]) => (value === null ? own.some((one) => one.name === name) : valueOf(name) !== value));
  const wanted = Object.fromEntries(changed);
  const checked = preview.data !== undefined;
  const run = () => checked ? altering.mutate({ topic, pipeline, configs: wanted, dryRun: false }, { onSuccess: onClose }) : preview.mutate({ topic, pipeline, configs: wanted, dryRun: true });
  return (
    <Ask title={`Change configs of ${topic}`} action={checked ? "Change" : "Ask the cluster"} wide isReady={problem === null && changed.length > 0} isPending={preview.isPending || altering.isPending} error={altering.error ?? preview.error} onClose={onClose} onDo={run}>
      <TextField label="Configs" value={text} autoFocus multiline minRows={5} error={problem !== null} onChange={(event) => { setText(event.target.value); preview.reset(); }} helperText={problem ?? "name=value; an empty value takes it back to the default; a line that is removed changes nothing"} />
      <table className="grid diff">
        <thead><tr><th scope="col">config</th><th scope="col">now</th><th scope="col">then</th></tr></thead>
        <tbody>{changed.map(([name, value]) => <tr key={name}><th scope="row" className="mono">{name}</th><td><del>{valueOf(name) ?? "default"}</del></td><td><ins>{value ?? "default"}</ins></td></tr>)}</tbody>
      </table>
      {checked && <div className="notice good" role="status">The cluster would change it.</div>}
      <Warnings of={preview.data?.warnings} />
    </Ask>
  );
}

interface GrowProps {
  readonly topic: string;
  readonly pipeline: string | null;
  readonly partitions: number;
  readonly onClose: () => void;
}

export function GrowTopic({ topic, pipeline, partitions, onClose }: GrowProps) {
  const [total, setTotal] = useState(String(partitions * 2));
  const growing = useChange(addPartitions, ["topic", "topics"]);
  const wanted = Number(total);
  return (
    <Ask title={`Add partitions to ${topic}`} action="Add" isDangerous typed={topic} isReady={Number.isInteger(wanted) && wanted > partitions} isPending={growing.isPending} error={growing.error} onClose={onClose}
      onDo={() => growing.mutate({ topic, pipeline, partitions: wanted, confirm: topic, dryRun: false }, { onSuccess: onClose })}>
      <div className="notice warn">Keys move to other partitions, so the order of a key is broken once, and partitions cannot be taken away.</div>
      <TextField label={`Partitions, more than ${partitions}`} value={total} type="number" onChange={(event) => setTotal(event.target.value)} />
    </Ask>
  );
}

interface DeleteProps {
  readonly topic: string;
  readonly pipeline: string | null;
  readonly usedBy: readonly string[];
  readonly onClose: () => void;
  readonly onGone: () => void;
}

export function DeleteTopic({ topic, pipeline, usedBy, onClose, onGone }: DeleteProps) {
  const deleting = useChange(deleteTopic, ["topics"]);
  return (
    <Ask title={`Delete ${topic}?`} action="Delete for good" isDangerous typed={topic} isReady={usedBy.length === 0} isPending={deleting.isPending} error={deleting.error} onClose={onClose}
      onDo={() => deleting.mutate({ topic, pipeline, confirm: topic }, { onSuccess: onGone })}>
      {usedBy.length > 0 ? <div className="notice bad">Pipelines use it: {usedBy.join(", ")}. It is not deleted while they do.</div> : <p>All of its records are lost for good.</p>}
    </Ask>
  );
}
