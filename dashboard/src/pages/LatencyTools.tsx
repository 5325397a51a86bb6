/** Save, import, export, link: what leaves the Latency page and comes back. */

import Button from "@mui/material/Button";
import Menu from "@mui/material/Menu";
import MenuItem from "@mui/material/MenuItem";
import TextField from "@mui/material/TextField";
import { useRef, useState } from "react";

import { saveBaseline, useChange } from "../api/actions";
import { asProblem, type ApiProblem } from "../api/problem";
import { fetchHgrm, fetchHistograms, type Window } from "../api/queries";
import { readHgrm } from "../charts/curve";
import { readV2 } from "../charts/hdr";
import type { Curve } from "../charts/PercentileCurve";
import { curveSvg } from "../charts/svg";
import { moment, span } from "../units";
import { ProblemNotice, RoleButton } from "../ui/Bits";
import { Ask, download } from "../ui/Dialogs";
import { useView } from "../ui/view";
import { labelOf } from "./stages";

export function SaveBaseline({ window }: { readonly window: Window }) {
  const [isOpen, setOpen] = useState(false);
  const [name, setName] = useState("");
  const [note, setNote] = useState("");
  const [, change] = useView();
  const save = useChange(saveBaseline, ["baselines"]);
  const isName = /^[A-Za-z0-9._-]{1,64}$/.test(name);
  const run = () => save.mutate(
    { name, note, window_s: window.windowS, ...(window.pipeline === null ? {} : { pipeline: window.pipeline }), ...(window.toMs === null ? {} : { to_ms: window.toMs }) },
    { onSuccess: () => { setOpen(false); change({ baseline: name }); } },
  );
  return (
    <>
      <RoleButton needs="operator" data-key="b" onClick={() => { save.reset(); setOpen(true); }}>Save baseline</RoleButton>
      {isOpen && (
        <Ask title="Save a baseline" action="Save" isPending={save.isPending} isReady={isName} error={save.error} onClose={() => setOpen(false)} onDo={run}>
          <p>Keeps the histograms of all stages of this window ({span(window.windowS)}), to compare with later.</p>
          <TextField label="Name" value={name} autoFocus onChange={(event) => setName(event.target.value)} error={name !== "" && !isName} helperText="1 to 64 letters, digits, . _ and -" />
          <TextField label="Note" value={note} onChange={(event) => setNote(event.target.value)} slotProps={{ htmlInput: { maxLength: 500 } }} />
        </Ask>
      )}
    </>
  );
}

interface ImportProps {
  readonly onCurve: (curve: Curve) => void;
  readonly look: number;
}

/** Largest file that is read. */
const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** A file as a curve: HdrHistogram's text, or its V2 encoding. */
export async function readCurve(name: string, text: string, look: number): Promise<Curve> {
  const isText = /Percentile|^\s*[\d.]+\s+[\d.]+\s+\d+/m.test(text);
  const read = isText ? readHgrm(text) : await readV2(text);
  return { key: `file-${name}`, label: name, look, points: read.points, isBaseline: true };
}

export function ImportButton({ onCurve, look }: ImportProps) {
  const input = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  const read = async (file: File | undefined) => {
    if (!file) return;
    try {
      if (file.size > FILE_BYTES_MAX) throw new Error(`${file.name} is larger than 4 MiB`);
      onCurve(await readCurve(file.name, await file.text(), look));
      setProblem(null);
    } catch (error) {
      setProblem(asProblem(error));
    }
  };
  return (
    <>
      <Button onClick={() => input.current?.click()}>Import .hgrm / V2</Button>
      <input ref={input} type="file" hidden aria-label="Histogram file" accept=".hgrm,.txt,.hlog,.b64" onChange={(event) => { void read(event.target.files?.[0]); event.target.value = ""; }} />
      {problem && <ProblemNotice error={problem} what="Import" />}
    </>
  );
}

interface ExportProps {
  readonly window: Window;
  readonly curves: readonly Curve[];
}

export function ExportMenu({ window: chosen, curves }: ExportProps) {
  const [anchor, setAnchor] = useState<HTMLElement | null>(null);
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  const [said, setSaid] = useState("");
  const [view] = useView();
  const close = () => setAnchor(null);
  const guarded = (work: () => Promise<void>) => () => { close(); setProblem(null); work().catch((error: unknown) => setProblem(asProblem(error))); };
  const hgrm = (stage: string) => guarded(async () => download(`millrace-${stage}.hgrm`, "text/plain", await fetchHgrm(chosen, stage)));
  const v2 = guarded(async () => {
    const answer = await fetchHistograms(chosen);
    const stages = answer.stages.map((one) => ({ stage: one.stage, unit: "us", encoding: "HdrHistogram V2, deflate, base64", histogram: one.histogram }));
    download("millrace-histograms.json", "application/json", JSON.stringify({ from_ms: answer.from_ms, to_ms: answer.to_ms, stages }, null, 2));
  });
  const svg = () => { close(); download("millrace-latency.svg", "image/svg+xml", curveSvg(`Millrace, ${moment(view.toMs ?? Date.now())}`, curves)); };
  const link = guarded(async () => {
    const url = new URL(location.href);
    url.searchParams.set("to", String(view.toMs ?? Date.now()));
    url.searchParams.set("span", String(view.spanS));
    url.searchParams.set("stages", view.stages.join(","));
    await navigator.clipboard.writeText(url.href);
    setSaid("The link to this window is in the clipboard.");
  });
  return (
    <>
      <Button aria-haspopup="menu" aria-expanded={anchor !== null} onClick={(event) => setAnchor(event.currentTarget)}>Export</Button>
      <Menu open={anchor !== null} anchorEl={anchor} onClose={close}>
        {view.stages.map((stage) => <MenuItem key={stage} onClick={hgrm(stage)}>{labelOf(stage)} as .hgrm</MenuItem>)}
        <MenuItem onClick={v2}>All stages as V2 histograms</MenuItem>
        <MenuItem onClick={svg}>Picture as SVG</MenuItem>
        <MenuItem onClick={link}>Copy permalink</MenuItem>
      </Menu>
      {said !== "" && <span className="muted" role="status">{said}</span>}
      {problem && <ProblemNotice error={problem} what="Export" />}
    </>
  );
}
