/** Small pieces that every page is put together from. */

import Button, { type ButtonProps } from "@mui/material/Button";
import Tooltip from "@mui/material/Tooltip";
import { useState, type ReactNode } from "react";

import { asProblem, type ApiProblem } from "../api/problem";
import { session, suffices, type Role } from "../api/session";
import { useStore } from "../api/store";

export function PageHead({ title, about, children }: { readonly title: string; readonly about?: string; readonly children?: ReactNode }) {
  return (
    <div className="page-head">
      <h1>{title}</h1>
      <span className="grow" />
      {children}
      {about !== undefined && <p>{about}</p>}
    </div>
  );
}

export function Panel({ title, tools, children }: { readonly title: string; readonly tools?: ReactNode; readonly children: ReactNode }) {
  return (
    <section className="panel">
      <div className="panel-head"><h2>{title}</h2><span className="grow" />{tools}</div>
      {children}
    </section>
  );
}

export function Facts({ of }: { readonly of: readonly (readonly [string, ReactNode])[] }) {
  return <dl className="facts">{of.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>;
}

export type Mood = "good" | "warn" | "bad" | "plain";

export function Chip({ mood, children }: { readonly mood: Mood; readonly children: ReactNode }) {
  return <span className={`chip ${mood}`}>{children}</span>;
}

/** States in words; colour only repeats them. */
export function stateMood(state: string): Mood {
  if (state === "running") return "good";
  if (state === "broken") return "bad";
  return state === "paused" || state === "draining" || state === "stopped" ? "warn" : "plain";
}

const LETTERS = 300;

/** Code, sentence, next step, another try, and everything to paste into a ticket. */
export function ProblemNotice({ error, onRetry, what }: { readonly error: unknown; readonly onRetry?: () => void; readonly what?: string }) {
  const problem = asProblem(error);
  const [copied, setCopied] = useState(false);
  const details = JSON.stringify({ code: problem.code, status: problem.status, title: problem.title, detail: problem.message, errors: problem.errors });
  const copy = () => void navigator.clipboard.writeText(details).then(() => setCopied(true), () => setCopied(false));
  return (
    <div className="notice bad" role="alert">
      <b>{what === undefined ? "" : `${what}: `}{problem.title}</b>
      <span>{problem.message.slice(0, LETTERS * 4)}</span>
      {problem.errors.length > 0 && <ul>{problem.errors.map((one) => <li key={one.field + one.text}><code>{one.field}</code>: {one.text}</li>)}</ul>}
      <div className="row">
        <code>{problem.code}</code>
        {problem.retryAfterS !== null && <span className="muted">wait {problem.retryAfterS} s</span>}
        {onRetry && <button type="button" className="quiet" onClick={onRetry}>Try again</button>}
        <button type="button" className="quiet" onClick={copy}>{copied ? "Copied" : "Copy details"}</button>
      </div>
    </div>
  );
}

export function Empty({ title, why, command }: { readonly title: string; readonly why: string; readonly command?: string }) {
  return (
    <div className="notice">
      <b>{title}</b>
      <span>{why}</span>
      {command !== undefined && <code>{command}</code>}
    </div>
  );
}

interface Reading<T> {
  readonly data: T | undefined;
  readonly error: ApiProblem | null;
  readonly isPending: boolean;
  readonly refetch: () => unknown;
}

/** The four states of what is read: not here yet, not to be had, old with a fault beside it, here. */
export function Read<T>({ of, what, children }: { readonly of: Reading<T>; readonly what: string; readonly children: (data: T) => ReactNode }) {
  const again = () => void of.refetch();
  if (of.data === undefined) {
    return of.error ? <ProblemNotice error={of.error} what={what} onRetry={again} /> : <div className="skeleton" aria-busy="true"><span className="sr">{what}: loading</span></div>;
  }
  return <>{of.error && <ProblemNotice error={of.error} what={`${what}, as it was before`} onRetry={again} />}{children(of.data)}</>;
}

/** Whether who is signed in may do what needs a role. */
export function useMay(needed: Role): boolean {
  const now = useStore(session);
  return now.state === "signed-in" && suffices(now.me.role, needed);
}

type RoleButtonProps = ButtonProps & { readonly needs: Role };

/** A button that stays visible and says which role it needs when one has not got it. */
export function RoleButton({ needs, disabled, children, ...rest }: RoleButtonProps) {
  const may = useMay(needs);
  const button = <Button {...rest} disabled={disabled === true || !may}>{children}</Button>;
  if (may) return button;
  return <Tooltip title={`Needs the role ${needs}`}><span tabIndex={0} role="note">{button}</span></Tooltip>;
}

interface ChoiceProps<T extends string | number> {
  readonly label: string;
  readonly options: readonly { readonly value: T; readonly label: string }[];
  readonly value: T;
  readonly onChange: (value: T) => void;
}

export function Choice<T extends string | number>({ label, options, value, onChange }: ChoiceProps<T>) {
  return (
    <div className="choice" role="group" aria-label={label}>
      {options.map((option) => (
        <button key={option.value} type="button" aria-pressed={option.value === value} onClick={() => onChange(option.value)}>{option.label}</button>
      ))}
    </div>
  );
}

type PickProps = ChoiceProps<string> & { readonly isLabelHidden?: boolean };

export function Pick({ label, isLabelHidden, options, value, onChange }: PickProps) {
  return (
    <label className="field">
      <span className={isLabelHidden === true ? "sr" : ""}>{label}</span>
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        {options.map((option) => <option key={option.value} value={option.value}>{option.label}</option>)}
      </select>
    </label>
  );
}

export function Meter({ ratio, mood }: { readonly ratio: number; readonly mood?: Mood }) {
  return (
    <svg className={`meter ${mood ?? ""}`} viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">
      <rect className="track" width="100" height="8" rx="2" />
      <rect className="fill" width={Math.min(100, Math.max(0, ratio * 100))} height="8" rx="2" />
    </svg>
  );
}
