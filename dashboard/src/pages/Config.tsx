/** The configuration: text, what is wrong with it, what would change, apply; history, backups. */

import Button from "@mui/material/Button";
import TextField from "@mui/material/TextField";
import { useEffect, useMemo, useRef, useState } from "react";

import { applyConfig, diffConfig, useChange, validateConfig } from "../api/actions";
import type { Body } from "../api/client";
import type { FieldFault } from "../api/problem";
import { useConfig, useConfigSchema } from "../api/queries";
import { count } from "../units";
import { Chip, PageHead, Panel, ProblemNotice, Read, RoleButton } from "../ui/Bits";
import { Ask, download } from "../ui/Dialogs";
import { Backups, History } from "./ConfigHistory";
import { hintAt, lineOf } from "./toml";

/** Time without a key press after which the text is looked at. */
const QUIET_MS = 600;

type Difference = Body<"Difference">;

export default function Config() {
  const config = useConfig();
  return (
    <>
      <PageHead title="Configuration" about="What is applied here holds until the next start, which reads the file: write it there to keep it. Secrets are shown as references only.">
        {config.data && <Button onClick={() => download("millrace.toml", "application/toml", config.data.toml)}>Download</Button>}
      </PageHead>
      <Read of={config} what="Configuration">{(it) => <Editor config={it} />}</Read>
      <div className="columns"><History etag={config.data?.etag ?? ""} /><Backups /></div>
    </>
  );
}

interface InForce {
  readonly toml: string;
  readonly etag: string;
  readonly epoch: number;
}

/** What one has typed is kept, whatever comes into force meanwhile; it is applied only on top of what it was made from. */
function Editor({ config }: { readonly config: InForce }) {
  const [{ toml, etag, epoch }, setBase] = useState<InForce>(config);
  const [text, setText] = useState(toml);
  const take = () => { setBase(config); setText(config.toml); };
  const isOvertaken = config.etag !== etag;
  if (isOvertaken && text === toml) take();
  const [line, setLine] = useState(1);
  const [isAsking, setAsking] = useState(false);
  const area = useRef<HTMLTextAreaElement>(null);
  const schema = useConfigSchema().data;
  const check = useCheck(text, toml);
  const hint = useMemo(() => hintAt(text, line, schema), [text, line, schema]);
  const isChanged = text !== toml;
  const jump = (fault: FieldFault) => {
    const at = lineOf(text, fault);
    const element = area.current;
    if (!element) return;
    const from = text.split("\n").slice(0, at - 1).reduce((sum, one) => sum + one.length + 1, 0);
    element.focus();
    element.setSelectionRange(from, from + (text.split("\n")[at - 1]?.length ?? 0));
    element.scrollTop = (at - 6) * 19.4;
    setLine(at);
  };
  return (
    <div className="split">
      <Panel title={`TOML, epoch ${epoch}`} tools={<>{isChanged ? <Chip mood="warn">changed</Chip> : <Chip mood="good">in force</Chip>}</>}>
        {isOvertaken && (
          <div className="notice warn" role="status">
            <b>Epoch {config.epoch} has come into force since you began.</b>
            <div className="row"><Button onClick={take}>Take it, drop my text</Button><Button onClick={() => setBase(config)}>Keep my text, compare it with that</Button></div>
          </div>
        )}
        <Text text={text} area={area} onChange={setText} onLine={setLine} />
        <p className="muted" aria-live="polite">{hint === null ? `Line ${line}` : `Line ${line}: ${hint}`}</p>
        <div className="row">
          <RoleButton needs="admin" variant="contained" disabled={!isChanged || !check.isCurrent || check.verdict?.valid !== true || check.differences.length === 0} onClick={() => setAsking(true)}>Apply…</RoleButton>
          <Button disabled={!isChanged} onClick={() => setText(toml)}>Undo all</Button>
        </div>
      </Panel>
      <div className="stack">
        <Verdict verdict={check.verdict} isChecking={check.isChecking} onJump={jump} />
        {check.error && <ProblemNotice error={check.error} what="Check" />}
        <Panel title={`Changes (${count(check.differences.length)})`}><Differences items={check.differences} /></Panel>
      </div>
      {isAsking && <Apply toml={text} etag={etag} differences={check.differences} onApplied={() => setBase({ toml: text, etag, epoch })} onClose={() => setAsking(false)} />}
    </div>
  );
}

interface Check {
  readonly verdict: Body<"Verdict"> | null;
  readonly differences: readonly Difference[];
  readonly isChecking: boolean;
  /** Whether what was found out is about the text as it is now. */
  readonly isCurrent: boolean;
  readonly error: ReturnType<typeof useChange>["error"];
}

/** Looks at the text when nobody has typed for a moment. */
function useCheck(text: string, toml: string): Check {
  const validate = useChange(validateConfig);
  const diff = useChange(diffConfig);
  const { mutate: ask, reset: forget } = validate;
  const { mutate: compare, reset: forgetDiff } = diff;
  useEffect(() => {
    if (text === toml) { forget(); forgetDiff(); return; }
    const timer = setTimeout(() => ask(text, { onSuccess: (verdict) => { if (verdict.valid) compare(text); else forgetDiff(); } }), QUIET_MS);
    return () => clearTimeout(timer);
  }, [text, toml, ask, compare, forget, forgetDiff]);
  return { verdict: validate.data ?? null, differences: diff.data?.items ?? [], isChecking: validate.isPending || diff.isPending, isCurrent: diff.isSuccess && diff.variables === text && validate.variables === text, error: validate.error ?? diff.error };
}

interface TextProps {
  readonly text: string;
  readonly area: React.RefObject<HTMLTextAreaElement | null>;
  readonly onChange: (text: string) => void;
  readonly onLine: (line: number) => void;
}

function Text({ text, area, onChange, onLine }: TextProps) {
  const numbers = useRef<HTMLPreElement>(null);
  const lines = text.split("\n").length;
  const look = (element: HTMLTextAreaElement) => onLine(element.value.slice(0, element.selectionStart).split("\n").length);
  return (
    <div className="editor">
      <pre ref={numbers} aria-hidden="true">{Array.from({ length: lines }, (_, index) => index + 1).join("\n")}</pre>
      <textarea
        ref={area} value={text} spellCheck={false} aria-label="Configuration as TOML" autoCapitalize="off" data-filter
        onChange={(event) => { onChange(event.target.value); look(event.target); }} onSelect={(event) => look(event.currentTarget)}
        onScroll={(event) => { if (numbers.current) numbers.current.scrollTop = event.currentTarget.scrollTop; }}
      />
    </div>
  );
}

function Verdict({ verdict, isChecking, onJump }: { readonly verdict: Body<"Verdict"> | null; readonly isChecking: boolean; readonly onJump: (fault: FieldFault) => void }) {
  return (
    <Panel title="Problems">
      <div aria-live="polite">
        {isChecking && <span className="muted">Looking…</span>}
        {verdict === null && !isChecking && <p className="muted">Change something; it is looked at when you pause.</p>}
        {verdict?.valid === true && <div className="notice good"><b>It could run.</b></div>}
        {verdict?.valid === false && (
          <ul className="stack">
            {verdict.errors.map((fault) => (
              <li key={fault.field + fault.text} className="notice bad"><code>{fault.field}</code><span>{fault.text}</span><button type="button" className="quiet" onClick={() => onJump(fault)}>Go to it</button></li>
            ))}
          </ul>
        )}
      </div>
    </Panel>
  );
}

const shown = (value: unknown) => (value === undefined ? "unset" : JSON.stringify(value));

export function Differences({ items }: { readonly items: readonly Difference[] }) {
  if (items.length === 0) return <p className="muted">Nothing would change.</p>;
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label="Keys that differ">
      <table className="grid diff">
        <thead><tr><th scope="col">key</th><th scope="col">now</th><th scope="col">then</th><th scope="col">how</th></tr></thead>
        <tbody>
          {items.map((one) => (
            <tr key={one.key}><th scope="row" className="mono">{one.key}</th><td className="mono"><del>{shown(one.running)}</del></td><td className="mono"><ins>{shown(one.proposed)}</ins></td><td>{one.at_once ? <Chip mood="good">at once</Chip> : <Chip mood="bad">needs a restart</Chip>}</td></tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface ApplyProps {
  readonly toml: string;
  readonly etag: string;
  readonly differences: readonly Difference[];
  readonly onApplied: () => void;
  readonly onClose: () => void;
}

function Apply({ toml, etag, onApplied, onClose, ...props }: ApplyProps) {
  const [comment, setComment] = useState("");
  // As they were when one was asked: once it is applied, nothing differs any more.
  const [differences] = useState(props.differences);
  const applying = useChange(applyConfig, ["config", "versions", "audit", "rate"]);
  const restarts = differences.filter((one) => !one.at_once);
  const result = applying.data;
  return (
    <Ask title="Put this configuration into force?" action={result ? "Done" : "Apply"} wide isReady={restarts.length === 0} isPending={applying.isPending} error={applying.error} onClose={onClose}
      onDo={() => (result ? onClose() : applying.mutate({ toml, comment, etag }, { onSuccess: onApplied }))}>
      {restarts.length > 0 && <div className="notice bad">These keys cannot change while it runs: {restarts.map((one) => one.key).join(", ")}. Write the file and restart, or leave them as they are.</div>}
      <Differences items={differences} />
      <TextField label="Why, for the history" value={comment} autoFocus onChange={(event) => setComment(event.target.value)} slotProps={{ htmlInput: { maxLength: 1000 } }} />
      {result && <div className="notice good" role="status">Epoch {result.epoch} is in force on {result.shards_applied} of {result.shards} shards, until the next start.</div>}
    </Ask>
  );
}
