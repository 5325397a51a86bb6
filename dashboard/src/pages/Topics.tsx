/** Topics of the cluster: what there is, and making, changing, growing and deleting them. */

import Button from "@mui/material/Button";
import { useState } from "react";

import { useTopic, useTopics } from "../api/queries";
import { brief, count } from "../units";
import { Chip, Empty, Facts, PageHead, Panel, Read, RoleButton, useMay } from "../ui/Bits";
import { Sheet } from "../ui/Dialogs";
import { useView } from "../ui/view";
import { AlterTopic, CreateTopic, DeleteTopic, GrowTopic } from "./TopicDialogs";

export default function Topics() {
  const [view] = useView();
  const [internal, setInternal] = useState(false);
  const [text, setText] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  const [isMaking, setMaking] = useState(false);
  const topics = useTopics(view.pipeline, internal);
  const may = useMay("operator");
  return (
    <>
      <PageHead title="Topics">
        {!may && <Chip mood="plain">read only: viewer</Chip>}
        <label className="field" data-filter>Filter <input value={text} onChange={(event) => setText(event.target.value)} /></label>
        <label className="switch"><input type="checkbox" checked={internal} onChange={(event) => setInternal(event.target.checked)} /> Kafka's own</label>
        <RoleButton needs="operator" variant="contained" onClick={() => setMaking(true)}>Create topic</RoleButton>
      </PageHead>
      <Read of={topics} what="Topics">
        {(data) => {
          const items = data.pages.flatMap((page) => page.items).filter((topic) => topic.name.toLowerCase().includes(text.toLowerCase()));
          if (items.length === 0) return <Empty title="No topic" why={text === "" ? "The cluster has none that this appliance may see." : "None has this in its name."} />;
          return (
            <Panel title={`${count(items.length)} topics`}>
              <div className="scroll tall" tabIndex={0} role="region" aria-label="Topics">
                <table className="grid">
                  <thead><tr><th scope="col">topic</th><th scope="col" className="number">partitions</th><th scope="col" className="number">replicas</th><th scope="col">health</th><th scope="col">used by</th></tr></thead>
                  <tbody>
                    {items.map((topic) => (
                      <tr key={topic.name}>
                        <th scope="row"><button type="button" className="link" onClick={() => setOpen(topic.name)}>{topic.name}</button></th>
                        <td className="number">{count(topic.partitions)}</td><td className="number">{count(topic.replication)}</td>
                        <td>{topic.offline > 0 ? <Chip mood="bad">{topic.offline} without leader</Chip> : topic.under_replicated > 0 ? <Chip mood="warn">{topic.under_replicated} under-replicated</Chip> : <Chip mood="good">in sync</Chip>}</td>
                        <td>{topic.used_by.map((use) => `${use.pipeline} (${use.role})`).join(", ")}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              {topics.hasNextPage && <Button onClick={() => void topics.fetchNextPage()} disabled={topics.isFetchingNextPage}>More</Button>}
            </Panel>
          );
        }}
      </Read>
      {isMaking && <CreateTopic pipeline={view.pipeline} onClose={() => setMaking(false)} />}
      {open !== null && <Detail name={open} pipeline={view.pipeline} onClose={() => setOpen(null)} />}
    </>
  );
}

type Doing = "alter" | "grow" | "delete";

function Detail({ name, pipeline, onClose }: { readonly name: string; readonly pipeline: string | null; readonly onClose: () => void }) {
  const topic = useTopic(name, pipeline);
  const [doing, setDoing] = useState<Doing | null>(null);
  const [all, setAll] = useState(false);
  return (
    <Sheet title={`Topic ${name}`} onClose={onClose} wide>
      <Read of={topic} what={`Topic ${name}`}>
        {(it) => (
          <>
            <div className="row">
              <RoleButton needs="operator" onClick={() => setDoing("alter")}>Change configs</RoleButton>
              <RoleButton needs="operator" onClick={() => setDoing("grow")}>Add partitions</RoleButton>
              <RoleButton needs="admin" color="error" onClick={() => setDoing("delete")}>Delete topic</RoleButton>
            </div>
            <Facts of={[["messages, estimated", brief(it.messages_estimated)], ["partitions", count(it.partitions)], ["replicas", count(it.replication)], ["used by", it.used_by.map((use) => `${use.pipeline} (${use.role})`).join(", ") || "no pipeline"]]} />
            {it.not_available.length > 0 && <div className="notice warn">Not available: {it.not_available.join("; ")}</div>}
            <div className="scroll" tabIndex={0} role="region" aria-label="Partitions">
              <table className="grid">
                <thead><tr><th scope="col">partition</th><th scope="col">leader</th><th scope="col">replicas</th><th scope="col">in sync</th><th scope="col" className="number">from</th><th scope="col" className="number">to</th></tr></thead>
                <tbody>{it.by_partition.map((one) => <tr key={one.id}><th scope="row">{one.id}</th><td>{one.leader ?? "none"}</td><td>{one.replicas.join(", ")}</td><td>{one.in_sync.join(", ")}</td><td className="number">{count(one.low)}</td><td className="number">{count(one.high)}</td></tr>)}</tbody>
              </table>
            </div>
            <div className="row"><h3>Configs</h3><label className="switch"><input type="checkbox" checked={all} onChange={(event) => setAll(event.target.checked)} /> defaults too</label></div>
            <div className="scroll" tabIndex={0} role="region" aria-label="Configs">
              <table className="grid">
                <thead><tr><th scope="col">config</th><th scope="col">value</th><th scope="col">from</th></tr></thead>
                <tbody>{it.configs.filter((one) => all || !one.is_default).map((one) => <tr key={one.name}><th scope="row" className="mono">{one.name}</th><td className="mono">{one.value ?? "(hidden)"}</td><td>{one.source}{one.read_only ? ", read only" : ""}</td></tr>)}</tbody>
              </table>
            </div>
            {doing === "alter" && <AlterTopic topic={name} pipeline={pipeline} configs={it.configs} onClose={() => setDoing(null)} />}
            {doing === "grow" && <GrowTopic topic={name} pipeline={pipeline} partitions={it.partitions} onClose={() => setDoing(null)} />}
            {doing === "delete" && <DeleteTopic topic={name} pipeline={pipeline} usedBy={it.used_by.map((use) => use.pipeline)} onClose={() => setDoing(null)} onGone={onClose} />}
          </>
        )}
      </Read>
    </Sheet>
  );
}
