/** What could not be delivered, why, and the message itself. */

import Button from "@mui/material/Button";
import { useState } from "react";

import { uncover, useChange } from "../api/actions";
import { live } from "../api/live";
import { useRejected } from "../api/queries";
import { useStore } from "../api/store";
import { Bars } from "../charts/Bars";
import { bytes, count, moment } from "../units";
import { Empty, PageHead, Panel, Pick, ProblemNotice, Read, RoleButton } from "../ui/Bits";
import { Sheet } from "../ui/Dialogs";
import { RecordDetail, type RecordView } from "../ui/Record";
import { useView } from "../ui/view";

export default function Rejected() {
  const [view] = useView();
  const pipelines = useStore(live).pipelines;
  const [own, setOwn] = useState("");
  const [code, setCode] = useState("");
  const [open, setOpen] = useState<RecordView | null>(null);
  const name = view.pipeline ?? (own !== "" ? own : pipelines[0]?.name ?? "");
  const rejections = Object.entries(pipelines.find((one) => one.name === name)?.rejections ?? {}).sort((a, b) => b[1] - a[1]);
  const rejected = useRejected(name, code);
  return (
    <>
      <PageHead title="Rejected" about="Messages that went to the dead-letter topic, newest first. Values are covered; an admin may uncover one message, and the audit log tells.">
        {view.pipeline === null && pipelines.length > 1 && <Pick label="Pipeline" value={name} onChange={setOwn} options={pipelines.map((one) => ({ value: one.name, label: one.name }))} />}
        <Pick label="Reason" value={code} onChange={setCode} options={[{ value: "", label: "all reasons" }, ...rejections.map(([key]) => ({ value: key, label: key }))]} />
        <Button onClick={() => void rejected.refetch()}>Read again</Button>
      </PageHead>
      {rejections.length > 0 && <Panel title="By reason, since the start"><Bars label="Rejections by reason" head={["reason", "messages"]} onPick={setCode} bars={rejections.map(([key, value]) => ({ key, label: key, value, text: count(value) }))} /></Panel>}
      <Panel title="Messages">
        <Read of={rejected} what="Dead-letter topic">
          {(data) => {
            const items = data.pages.flatMap((page) => page.items);
            const looked = data.pages.reduce((sum, page) => sum + page.looked_at, 0);
            const incomplete = data.pages.map((page) => page.incomplete).find((text) => text != null);
            return (
              <div className="stack">
                {incomplete != null && <div className="notice warn">Some may be missing: {incomplete}</div>}
                {items.length === 0
                  ? <Empty title={code === "" ? "Nothing was rejected" : `No message of ${code} among the ${count(looked)} that were read`} why="A message is rejected when it can never be delivered: bad JSON, too large, no route." />
                  : <Listed items={items} onOpen={setOpen} />}
                <div className="row">
                  <span className="muted">{count(items.length)} shown, {count(looked)} read</span>
                  {rejected.hasNextPage && <Button disabled={rejected.isFetchingNextPage} onClick={() => void rejected.fetchNextPage()}>Older ones</Button>}
                </div>
              </div>
            );
          }}
        </Read>
      </Panel>
      {open && <Detail record={open} pipeline={name} onClose={() => setOpen(null)} />}
    </>
  );
}

function Listed({ items, onOpen }: { readonly items: readonly RecordView[]; readonly onOpen: (record: RecordView) => void }) {
  return (
    <div className="scroll tall" tabIndex={0} role="region" aria-label="Rejected messages">
      <table className="grid">
        <thead><tr><th scope="col">message</th><th scope="col">rejected</th><th scope="col">reason</th><th scope="col">why</th><th scope="col" className="number">attempts</th><th scope="col" className="number">size</th></tr></thead>
        <tbody>
          {items.map((record) => (
            <tr key={`${record.partition}/${record.offset}`}>
              <th scope="row"><button type="button" className="link mono" onClick={() => onOpen(record)}>{record.message_id ?? `${record.partition}@${record.offset}`}</button></th>
              <td>{moment(record.reason?.rejected_at_ms ?? record.timestamp_ms)}</td><td><code>{record.reason?.code ?? "–"}</code></td><td>{record.reason?.text ?? ""}</td>
              <td className="number">{count(record.reason?.attempts)}</td><td className="number">{bytes(record.body.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Detail({ record, pipeline, onClose }: { readonly record: RecordView; readonly pipeline: string; readonly onClose: () => void }) {
  const uncovering = useChange(uncover, ["audit"]);
  const shown = uncovering.data ?? record;
  return (
    <Sheet title={`Rejected message ${record.message_id ?? `${record.partition}@${record.offset}`}`} onClose={onClose} wide>
      <div className="row">
        <RoleButton needs="admin" disabled={uncovering.isPending || uncovering.isSuccess} onClick={() => uncovering.mutate({ pipeline, partition: record.partition, offset: record.offset })}>Uncover (audited)</RoleButton>
        {uncovering.isSuccess && <span className="muted">Shown as it was sent; the audit log has your name.</span>}
      </div>
      {uncovering.error && <ProblemNotice error={uncovering.error} what="Uncover" />}
      <RecordDetail record={shown} />
    </Sheet>
  );
}
