/** A pipeline more, and one less, while the appliance runs. */

import TextField from "@mui/material/TextField";
import { useState } from "react";

import { addPipeline, removePipeline, useChange } from "../api/actions";
import { useConfig } from "../api/queries";
import { Read } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { pipelineTable } from "./toml";

const STALE = ["config", "audit"];

export function AddPipeline({ onClose }: { readonly onClose: () => void }) {
  const config = useConfig();
  const adding = useChange(addPipeline, STALE);
  const [name, setName] = useState("");
  const [queue, setQueue] = useState("");
  const [brokers, setBrokers] = useState("");
  const [topic, setTopic] = useState("");
  const [comment, setComment] = useState("");
  const list = brokers.split(",").map((one) => one.trim()).filter(Boolean);
  const isReady = [name, queue, topic].every((text) => text.trim() !== "") && list.length > 0 && config.data !== undefined;
  const toml = pipelineTable({ name: name.trim(), queue: queue.trim(), brokers: list, topic: topic.trim() });
  const add = () => adding.mutate({ toml, comment, etag: config.data?.etag ?? "" }, { onSuccess: onClose });
  return (
    <Ask title="Add a pipeline" action="Add" isReady={isReady} isPending={adding.isPending} error={adding.error} onClose={onClose} onDo={add}>
      <p>It begins on every shard as soon as it has credentials, the attributes of its queue and a producer. It is in force until the next start, which reads the file: write it there to keep it.</p>
      <Read of={config} what="Configuration">{() => null}</Read>
      <TextField label="Name" value={name} autoFocus onChange={(event) => setName(event.target.value)} helperText="Lower-case letters, digits, - and _" />
      <TextField label="Queue URL" value={queue} onChange={(event) => setQueue(event.target.value)} />
      <TextField label="Brokers, with commas between" value={brokers} onChange={(event) => setBrokers(event.target.value)} />
      <TextField label="Topic" value={topic} onChange={(event) => setTopic(event.target.value)} />
      <TextField label="Why, for the history" value={comment} onChange={(event) => setComment(event.target.value)} />
      <p className="muted">Everything else has its default; it is changed in the configuration afterwards.</p>
    </Ask>
  );
}

export function RemovePipeline({ name, onClose }: { readonly name: string; readonly onClose: () => void }) {
  const config = useConfig();
  const removing = useChange(removePipeline, STALE);
  const remove = () => removing.mutate({ name, etag: config.data?.etag ?? "" }, { onSuccess: onClose });
  return (
    <Ask title={`Remove ${name}?`} action="Remove" isDangerous typed={name} isReady={config.data !== undefined} isPending={removing.isPending} error={removing.error} onClose={onClose} onDo={remove}>
      <p>It receives no more, finishes what it holds, and gives the rest back to the queue at the drain deadline. Then it is gone. Queue and topic stay, and what is in them.</p>
    </Ask>
  );
}
