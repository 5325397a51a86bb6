/** Rules, silences and receivers of alerts. */

import TextField from "@mui/material/TextField";
import { useState } from "react";

import { deleteRule, endSilence, putRule, silence, testRule, useChange } from "../api/actions";
import type { Body } from "../api/client";
import { useAlertRules, useReceivers, useSilences } from "../api/queries";
import { count, moment, percent, short, words } from "../units";
import { Chip, Empty, Panel, Pick, ProblemNotice, Read, RoleButton } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { useNow } from "../ui/clock";

type Rule = Body<"Rule">;
type ShownRule = Body<"ShownRule">;

const HOURS = ["1", "4", "24", "168"] as const;
const HOUR_MS = 3_600_000;

export function SilenceDialog({ rule, onClose }: { readonly rule: string; readonly onClose: () => void }) {
  const [why, setWhy] = useState("");
  const [hours, setHours] = useState<string>(HOURS[0]);
  const silencing = useChange(silence, ["silences", "alerts"]);
  const run = () => silencing.mutate({ matchers: [{ label: "rule", value: rule }], ends_ms: Date.now() + Number(hours) * HOUR_MS, why }, { onSuccess: onClose });
  return (
    <Ask title={`Silence ${rule}`} action="Silence" isReady={why.trim() !== ""} isPending={silencing.isPending} error={silencing.error} onClose={onClose} onDo={run}>
      <p>Matching alerts are shown and not told to anybody.</p>
      <Pick label="For" value={hours} onChange={setHours} options={HOURS.map((value) => ({ value, label: value === "1" ? "1 hour" : value === "168" ? "7 days" : `${value} hours` }))} />
      <TextField label="Why" value={why} autoFocus required onChange={(event) => setWhy(event.target.value)} slotProps={{ htmlInput: { maxLength: 500 } }} />
    </Ask>
  );
}

export function Silences() {
  const silences = useSilences();
  const ending = useChange(endSilence, ["silences", "alerts"]);
  const now = useNow();
  return (
    <Panel title="Silences">
      {ending.error && <ProblemNotice error={ending.error} />}
      <Read of={silences} what="Silences">
        {(data) => data.items.length === 0 ? <p className="muted">None within the last thirty days.</p> : (
          <table className="grid">
            <thead><tr><th scope="col">matches</th><th scope="col">until</th><th scope="col">by, why</th><th scope="col"><span className="sr">end</span></th></tr></thead>
            <tbody>
              {data.items.map((one) => (
                <tr key={one.id}>
                  <th scope="row">{one.matchers.map((matcher) => `${matcher.label} = ${matcher.value}`).join(", ")}</th>
                  <td>{moment(one.ends_ms)}{one.ends_ms <= now ? " (over)" : ""}</td><td>{one.created_by}: {one.why}</td>
                  <td>{one.ends_ms > now && <RoleButton needs="operator" onClick={() => ending.mutate(one.id)}>End</RoleButton>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Read>
    </Panel>
  );
}

export function Receivers() {
  const receivers = useReceivers();
  return (
    <Panel title="Receivers">
      <Read of={receivers} what="Receivers">
        {(data) => data.items.length === 0
          ? <Empty title="Only the log is told" why="A webhook or an SNS topic in the configuration is told as well." />
          : (
            <table className="grid">
              <thead><tr><th scope="col">name</th><th scope="col">kind</th><th scope="col">told</th><th scope="col" className="number">delivered</th><th scope="col" className="number">failed</th><th scope="col" className="number">dropped</th></tr></thead>
              <tbody>{data.items.map((one) => <tr key={one.name}><th scope="row">{one.name}</th><td>{one.kind}</td><td>{one.pages_only ? "pages only" : "all"}</td><td className="number">{count(one.deliveries.delivered)}</td><td className="number">{count(one.deliveries.failed)}</td><td className="number">{count(one.deliveries.dropped)}</td></tr>)}</tbody>
            </table>
          )}
      </Read>
    </Panel>
  );
}

/** A threshold in words. */
function threshold(rule: Rule): string {
  const value = (number: number) => (rule.source.endsWith("_ratio") ? percent(number) : `${short(number)}${rule.source.endsWith("_seconds") ? " s" : ""}`);
  const parts = [rule.above == null ? "" : `above ${value(rule.above)}`, rule.below == null ? "" : `below ${value(rule.below)}`].filter(Boolean);
  // The unit stands behind the number.
  return `${words(rule.source.replace(/_seconds$/, ""))}${rule.stage == null ? "" : ` of ${words(rule.stage)}`}${rule.quantile == null ? "" : ` at ${percent(rule.quantile)}`} ${parts.join(" or ")} for ${rule.for}`;
}

export function Rules() {
  const rules = useAlertRules();
  const test = useChange(testRule);
  const put = useChange(putRule, ["alert-rules", "alerts"]);
  const remove = useChange(deleteRule, ["alert-rules", "alerts"]);
  const [edited, setEdited] = useState<ShownRule | null>(null);
  const turn = (shown: ShownRule) => put.mutate({ rule: { ...shown.rule, enabled: shown.rule.enabled === false }, version: shown.version ?? null });
  return (
    <Panel title="Rules">
      {test.isSuccess && <div className="notice good" role="status">The test is on its way. Look at the receivers, and at whoever should have got it.</div>}
      {[test.error, put.error, remove.error].map((error, index) => error && <ProblemNotice key={index} error={error} />)}
      <Read of={rules} what="Rules">
        {(data) => (
          <div className="scroll tall" tabIndex={0} role="region" aria-label="Rules">
            <table className="grid">
              <thead><tr><th scope="col">rule</th><th scope="col">when</th><th scope="col">wants</th><th scope="col">from</th><th scope="col">do</th></tr></thead>
              <tbody>
                {data.items.map((one) => (
                  <tr key={one.rule.name}>
                    <th scope="row">{one.rule.name}{one.rule.enabled === false && <> <Chip mood="plain">off</Chip></>}<br /><span className="muted">{one.rule.summary}</span></th>
                    <td>{threshold(one.rule)}</td><td>{one.rule.severity}</td>
                    <td>{one.origin}{one.changed_by == null ? "" : `, ${one.changed_by} ${moment(one.changed_ms)}`}</td>
                    <td><div className="row together">
                      <RoleButton needs="operator" onClick={() => test.mutate(one.rule.name)}>Test</RoleButton>
                      <RoleButton needs="admin" onClick={() => { put.reset(); setEdited(one); }}>Change</RoleButton>
                      <RoleButton needs="admin" onClick={() => turn(one)}>{one.rule.enabled === false ? "Turn on" : "Turn off"}</RoleButton>
                      {one.origin === "api" && <RoleButton needs="admin" onClick={() => remove.mutate(one.rule.name)}>Back to before</RoleButton>}
                    </div></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Read>
      {edited && <RuleDialog shown={edited} error={put.error} isPending={put.isPending} onClose={() => setEdited(null)} onPut={(rule) => put.mutate({ rule, version: edited.version ?? null }, { onSuccess: () => setEdited(null) })} />}
    </Panel>
  );
}

interface RuleDialogProps {
  readonly shown: ShownRule;
  readonly error: React.ComponentProps<typeof Ask>["error"];
  readonly isPending: boolean;
  readonly onClose: () => void;
  readonly onPut: (rule: Rule) => void;
}

function RuleDialog({ shown, error, isPending, onClose, onPut }: RuleDialogProps) {
  const { rule } = shown;
  const isAbove = rule.above != null;
  const [limit, setLimit] = useState(String(rule.above ?? rule.below ?? ""));
  const [hold, setHold] = useState(rule.for);
  const [severity, setSeverity] = useState<string>(rule.severity);
  const number = Number(limit);
  const isReady = limit.trim() !== "" && Number.isFinite(number) && hold.trim() !== "";
  const put = () => onPut({ ...rule, ...(isAbove ? { above: number } : { below: number }), clear: null, for: hold, severity: severity === "page" ? "page" : "ticket" });
  return (
    <Ask title={`Change ${rule.name}`} action="Put into force" isReady={isReady} isPending={isPending} error={error ?? null} onClose={onClose} onDo={put}>
      <p>{rule.summary} It looks at {words(rule.source)}.</p>
      <TextField label={isAbove ? "Bad above" : "Bad below"} value={limit} autoFocus onChange={(event) => setLimit(event.target.value)} error={!Number.isFinite(number)} />
      <TextField label="For at least" value={hold} onChange={(event) => setHold(event.target.value)} helperText="A time, for example 30s or 5m" />
      <Pick label="Wants" value={severity} onChange={setSeverity} options={[{ value: "ticket", label: "a ticket" }, { value: "page", label: "a page" }]} />
    </Ask>
  );
}
