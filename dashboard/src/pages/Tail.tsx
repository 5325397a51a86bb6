/** Records as they come, a few of them: bounded in number and time, covered, and never in the way of the pump. */

import Button from "@mui/material/Button";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";

import { sample } from "../api/actions";
import { live } from "../api/live";
import { asProblem, type ApiProblem } from "../api/problem";
import { useStore } from "../api/store";
import { bytes, clock, count } from "../units";
import { Choice, Empty, PageHead, Pick, ProblemNotice, RoleButton, useMay } from "../ui/Bits";
import { Sheet } from "../ui/Dialogs";
import { RecordDetail, shownText, type RecordView } from "../ui/Record";
import { useView } from "../ui/view";

/** Rows kept; the oldest go. A tab that is left open holds no more. */
const ROWS_MAX = 1_000;
const ROW_PX = 28;
/** One sample: what the appliance gives at most. The next begins by itself while it is on. */
const SAMPLE_MESSAGES = 200;
const SAMPLE_S = 60;

type At = "delivered" | "rejected";

/** Everything of a record that is shown, as one text to look in. */
export function searchable(record: RecordView): string {
  return [record.topic, record.message_id ?? "", shownText(record.key), shownText(record.body), record.reason?.code ?? "", ...record.headers.map((header) => `${header.name}=${shownText(header.value)}`)].join(" ").toLowerCase();
}

export default function Tail() {
  const [view] = useView();
  const pipelines = useStore(live).pipelines;
  const [own, setOwn] = useState("");
  const name = view.pipeline ?? (own !== "" ? own : pipelines[0]?.name ?? "");
  const [at, setAt] = useState<At>("delivered");
  const [filter, setFilter] = useState("");
  const [open, setOpen] = useState<RecordView | null>(null);
  const tail = useTail(name, at);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = words.length === 0 ? tail.rows : tail.rows.filter((record) => { const text = searchable(record); return words.every((word) => text.includes(word)); });
  return (
    <>
      <PageHead title="Live tail" about={`Samples of what passes, values covered. At most ${SAMPLE_MESSAGES} records a sample; the newest ${ROWS_MAX} stay here.`}>
        {view.pipeline === null && pipelines.length > 1 && <Pick label="Pipeline" value={name} onChange={setOwn} options={pipelines.map((one) => ({ value: one.name, label: one.name }))} />}
        <Choice label="Where" value={at} onChange={setAt} options={[{ value: "delivered", label: "delivered" }, { value: "rejected", label: "rejected" }]} />
        <label className="field" data-filter>Filter <input value={filter} onChange={(event) => setFilter(event.target.value)} placeholder="words that must occur" /></label>
        <RoleButton needs="operator" variant="contained" disabled={name === ""} onClick={tail.isOn ? tail.stop : tail.start}>{tail.isOn ? "Stop" : "Start sampling"}</RoleButton>
        <Button onClick={tail.clear} disabled={tail.rows.length === 0}>Clear</Button>
      </PageHead>
      {tail.problem && <ProblemNotice error={tail.problem} what="Sample" onRetry={tail.start} />}
      <p className="muted" role="status">{count(rows.length)} shown of {count(tail.rows.length)} kept{tail.dropped > 0 ? `, ${count(tail.dropped)} older ones dropped` : ""}{tail.isOn ? "; sampling" : ""}</p>
      {rows.length === 0 ? <Waiting isOn={tail.isOn} isFiltered={tail.rows.length > 0} /> : <List rows={rows} onOpen={setOpen} />}
      {open && <Sheet title={`${open.topic} ${open.partition} @ ${open.offset}`} onClose={() => setOpen(null)} wide><RecordDetail record={open} /></Sheet>}
    </>
  );
}

function Waiting({ isOn, isFiltered }: { readonly isOn: boolean; readonly isFiltered: boolean }) {
  const may = useMay("operator");
  if (isFiltered) return <Empty title="No record matches" why="The filter looks in topic, key, ids, headers and the shown parts of bodies." />;
  if (isOn) return <Empty title="Waiting for records" why="They are shown as they arrive at the topic." command="aws sqs send-message --queue-url URL --message-body '{}'" />;
  return <Empty title="Nothing is sampled" why={may ? "Start sampling to read along at the topics of the route." : "Sampling needs the role operator."} />;
}

interface Sampling {
  readonly rows: readonly RecordView[];
  readonly dropped: number;
  readonly isOn: boolean;
  readonly problem: ApiProblem | null;
  readonly start: () => void;
  readonly stop: () => void;
  readonly clear: () => void;
}

function useTail(name: string, at: At): Sampling {
  const [rows, setRows] = useState<readonly RecordView[]>([]);
  const [dropped, setDropped] = useState(0);
  const [isOn, setOn] = useState(false);
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  useEffect(() => {
    if (!isOn || name === "") return;
    const stop = new AbortController();
    let fresh: RecordView[] = [];
    // Drawn five times a second at most, however fast they come.
    const timer = setInterval(() => {
      if (fresh.length === 0) return;
      const next = fresh;
      fresh = [];
      setRows((before) => {
        const all = [...next.reverse(), ...before];
        if (all.length > ROWS_MAX) setDropped((value) => value + all.length - ROWS_MAX);
        return all.slice(0, ROWS_MAX);
      });
    }, 200);
    const run = async () => {
      while (!stop.signal.aborted) {
        await sample(name, { at, messages: SAMPLE_MESSAGES, seconds: SAMPLE_S }, (record) => fresh.push(record), stop.signal);
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
    };
    run().catch((error: unknown) => { if (!stop.signal.aborted) { setProblem(asProblem(error)); setOn(false); } });
    return () => { stop.abort(); clearInterval(timer); };
  }, [isOn, name, at]);
  useEffect(() => { setRows([]); setDropped(0); }, [name, at]);
  return {
    rows, dropped, isOn, problem,
    start: () => { setProblem(null); setOn(true); }, stop: () => setOn(false), clear: () => { setRows([]); setDropped(0); },
  };
}

function List({ rows, onOpen }: { readonly rows: readonly RecordView[]; readonly onOpen: (record: RecordView) => void }) {
  const host = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({ count: rows.length, getScrollElement: () => host.current, estimateSize: () => ROW_PX, overscan: 12 });
  return (
    <div className="tail" ref={host} tabIndex={0} role="region" aria-label="Records, newest first">
      <div className="tail-inner" style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const record = rows[item.index];
          if (!record) return null;
          return (
            <button key={`${record.topic}/${record.partition}/${record.offset}`} type="button" className="tail-row" style={{ transform: `translateY(${item.start}px)` }} onClick={() => onOpen(record)}>
              <span>{clock(record.timestamp_ms)}</span>
              <span>{record.topic} {record.partition}@{record.offset}</span>
              <span className="mono">{record.reason ? `${record.reason.code}: ${record.reason.text}` : shownText(record.body).replace(/\s+/g, " ")}</span>
              <span>{bytes(record.body.bytes)}</span>
              <span className="mono">{record.message_id ?? ""}</span>
            </button>
          );
        })}
      </div>
    </div>
  );
}
