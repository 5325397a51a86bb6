/** A record as it is shown: where it lies, what it says as far as it is shown, how it came. Everything is text. */

import { useState } from "react";

import type { Body } from "../api/client";
import { bytes, moment } from "../units";
import { Choice, Facts } from "./Bits";

export type RecordView = Body<"RecordView">;
type Shown = RecordView["body"];

/** A shown part as text. */
export function shownText(shown: Shown): string {
  if (shown.value === null || shown.value === undefined) return coveredText(shown);
  return typeof shown.value === "string" ? shown.value : JSON.stringify(shown.value, null, 2);
}

function coveredText(shown: Shown): string {
  if (shown.kind === "none") return "(nothing)";
  if (shown.kind === "large") return `(${bytes(shown.bytes)}: too large for a list; open it alone)`;
  return `(covered: ${shown.kind}, ${bytes(shown.bytes)}, SHA-256 ${shown.sha256}…)`;
}

/** Bytes as hexadecimal, sixteen to a line. */
export function hex(text: string): string {
  const raw = new TextEncoder().encode(text);
  const lines: string[] = [];
  for (let from = 0; from < raw.length; from += 16) {
    const part = raw.slice(from, from + 16);
    const codes = [...part].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const letters = [...part].map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${from.toString(16).padStart(6, "0")}  ${codes.padEnd(47)}  ${letters}`);
  }
  return lines.join("\n");
}

type Form = "pretty" | "raw" | "hex";

export function RecordDetail({ record }: { readonly record: RecordView }) {
  const [form, setForm] = useState<Form>("pretty");
  const text = shownText(record.body);
  const isShown = record.body.value !== null && record.body.value !== undefined;
  const raw = isShown && typeof record.body.value !== "string" ? JSON.stringify(record.body.value) : text;
  const why = record.reason;
  return (
    <div className="stack">
      {why && (
        <div className="notice warn">
          <b>{why.code}</b>
          <span>{why.text}</span>
          <span className="muted">stage {why.stage}{why.attempts == null ? "" : `, ${why.attempts} attempts`}, from {why.queue}</span>
        </div>
      )}
      <Facts of={[
        ["place", `${record.topic} ${record.partition} @ ${record.offset}`], ["time", moment(record.timestamp_ms)], ["rejected", moment(why?.rejected_at_ms)],
        ["message id", record.message_id ?? "–"], ["key", shownText(record.key)], ["size", bytes(record.body.bytes)],
      ]} />
      <div className="row">
        <h3>Body</h3>
        <Choice label="Form" value={form} onChange={setForm} options={[{ value: "pretty", label: "pretty" }, { value: "raw", label: "raw" }, { value: "hex", label: "hex" }]} />
        {record.body.kind === "json" && <span className="muted">Covered values keep their kind.</span>}
      </div>
      <pre className="record" tabIndex={0} aria-label="Body">{form === "hex" ? hex(raw) : form === "raw" ? raw : text}</pre>
      <h3>Headers</h3>
      <table className="grid">
        <thead><tr><th scope="col">name</th><th scope="col">value</th></tr></thead>
        <tbody>{record.headers.map((header, index) => <tr key={`${header.name}${index}`}><th scope="row" className="mono">{header.name}</th><td className="mono">{shownText(header.value)}</td></tr>)}</tbody>
      </table>
    </div>
  );
}
