/** Who may do what: users, keys, sessions, and who did. */

import Button from "@mui/material/Button";
import { useState } from "react";

import { changeUser, endSession, removeUser, revokeKey, useChange } from "../api/actions";
import type { Body } from "../api/client";
import { useAudit, useKeys, useSessions, useUsers } from "../api/queries";
import { session } from "../api/session";
import { useStore } from "../api/store";
import { moment } from "../units";
import { Chip, Empty, PageHead, Panel, Pick, ProblemNotice, Read, useMay } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { AddKey, AddUser, ChangePassword, ROLES } from "./AccessDialogs";

const RIGHTS: readonly (readonly [string, string])[] = [
  ["viewer", "sees everything but users, keys and the audit log; message values stay covered"],
  ["operator", "also pauses, drains and limits pipelines, makes and changes topics, samples messages, takes alerts on, saves baselines"],
  ["admin", "also changes the configuration, users, keys and alert rules, deletes topics, uncovers a rejected message, restores backups"],
];

export default function Access() {
  const may = useMay("admin");
  const me = useStore(session);
  const [isChanging, setChanging] = useState(false);
  return (
    <>
      <PageHead title="Access">
        {me.state === "signed-in" && me.me.proof === "session" && <Button onClick={() => setChanging(true)}>Change my password</Button>}
      </PageHead>
      {me.state === "signed-in" && me.me.proof === "bootstrap" && <div className="notice warn"><b>You use the token of the first start.</b><span>It ends when the first admin is made. Add yourself as an admin, then sign in by name.</span></div>}
      <Panel title="Roles">
        <table className="grid"><thead><tr><th scope="col">role</th><th scope="col">may</th></tr></thead><tbody>{RIGHTS.map(([role, text]) => <tr key={role}><th scope="row">{role}</th><td>{text}</td></tr>)}</tbody></table>
      </Panel>
      {may ? <><Users /><Keys /></> : <div className="notice">Users, keys and the audit log need the role admin.</div>}
      <Sessions all={may} />
      {may && <Audit />}
      {isChanging && <ChangePassword onClose={() => setChanging(false)} />}
    </>
  );
}

function Users() {
  const users = useUsers(true);
  const [isAdding, setAdding] = useState(false);
  const [removed, setRemoved] = useState<string | null>(null);
  const change = useChange(changeUser, ["users", "sessions", "audit"]);
  const remove = useChange(removeUser, ["users", "sessions", "audit"]);
  return (
    <Panel title="Users" tools={<Button variant="contained" onClick={() => setAdding(true)}>Add user</Button>}>
      {change.error && <ProblemNotice error={change.error} />}
      <Read of={users} what="Users">
        {(data) => data.items.length === 0 ? <Empty title="No user yet" why="Make the first admin; the token of the first start ends then." command="millrace users add NAME --role admin" /> : (
          <div className="scroll" tabIndex={0} role="region" aria-label="Users"><table className="grid">
            <thead><tr><th scope="col">user</th><th scope="col">role</th><th scope="col">state</th><th scope="col">since</th><th scope="col">do</th></tr></thead>
            <tbody>
              {data.items.map((one) => (
                <tr key={one.name}>
                  <th scope="row">{one.name}</th>
                  <td><Pick label={`Role of ${one.name}`} isLabelHidden value={one.role} onChange={(role) => change.mutate({ name: one.name, patch: { role: roleOf(role) } })} options={ROLES} /></td>
                  <td>{one.disabled ? <Chip mood="warn">disabled</Chip> : <Chip mood="good">active</Chip>}</td><td>{moment(one.created_ms)}</td>
                  <td><div className="row"><Button onClick={() => change.mutate({ name: one.name, patch: { disabled: !one.disabled } })}>{one.disabled ? "Enable" : "Disable"}</Button><Button color="error" onClick={() => { remove.reset(); setRemoved(one.name); }}>Remove</Button></div></td>
                </tr>
              ))}
            </tbody>
          </table></div>
        )}
      </Read>
      {isAdding && <AddUser onClose={() => setAdding(false)} />}
      {removed !== null && <Ask title={`Remove ${removed}?`} action="Remove" isDangerous isPending={remove.isPending} error={remove.error} onClose={() => setRemoved(null)} onDo={() => remove.mutate(removed, { onSuccess: () => setRemoved(null) })}><p>All sessions of the user end at once.</p></Ask>}
    </Panel>
  );
}

export function roleOf(text: string): Body<"Role"> {
  return text === "admin" || text === "operator" ? text : "viewer";
}

function Keys() {
  const keys = useKeys(true);
  const [isAdding, setAdding] = useState(false);
  const revoke = useChange(revokeKey, ["keys", "audit"]);
  const [revoked, setRevoked] = useState<Body<"ApiKey"> | null>(null);
  return (
    <Panel title="API keys" tools={<Button variant="contained" onClick={() => setAdding(true)}>Make key</Button>}>
      <Read of={keys} what="API keys">
        {(data) => data.items.length === 0 ? <Empty title="No key yet" why="Programs sign in with keys: scripts, Prometheus, the command line." command="millrace keys create NAME --role viewer" /> : (
          <div className="scroll" tabIndex={0} role="region" aria-label="API keys">
            <table className="grid">
              <thead><tr><th scope="col">key</th><th scope="col">begins with</th><th scope="col">role</th><th scope="col">made</th><th scope="col">ends</th><th scope="col">do</th></tr></thead>
              <tbody>
                {data.items.map((one) => (
                  <tr key={one.id}>
                    <th scope="row">{one.name}</th><td className="mono">{one.prefix}…</td><td>{one.role}</td><td>{moment(one.created_ms)} by {one.created_by}</td>
                    <td>{one.revoked_ms == null ? one.expires_ms == null ? "never" : moment(one.expires_ms) : <Chip mood="plain">revoked {moment(one.revoked_ms)}</Chip>}</td>
                    <td>{one.revoked_ms == null && <Button color="error" onClick={() => { revoke.reset(); setRevoked(one); }}>Revoke {one.name}</Button>}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Read>
      {isAdding && <AddKey onClose={() => setAdding(false)} />}
      {revoked && <Ask title={`Revoke ${revoked.name}?`} action="Revoke" isDangerous isPending={revoke.isPending} error={revoke.error} onClose={() => setRevoked(null)} onDo={() => revoke.mutate(revoked.id, { onSuccess: () => setRevoked(null) })}><p>It is refused at once, and cannot come back.</p></Ask>}
    </Panel>
  );
}

function Sessions({ all }: { readonly all: boolean }) {
  const sessions = useSessions(all);
  const end = useChange(endSession, ["sessions", "audit"]);
  return (
    <Panel title={all ? "Sessions" : "My sessions"}>
      {end.error && <ProblemNotice error={end.error} />}
      <Read of={sessions} what="Sessions">
        {(data) => data.items.length === 0 ? <p className="muted">Nobody is signed in by name.</p> : (
          <div className="scroll" tabIndex={0} role="region" aria-label="Sessions"><table className="grid">
            <thead><tr><th scope="col">user</th><th scope="col">from</th><th scope="col">begun</th><th scope="col">renewed</th><th scope="col">ends</th><th scope="col">do</th></tr></thead>
            <tbody>{data.items.map((one) => <tr key={one.id}><th scope="row">{one.user}</th><td className="mono">{one.address}</td><td>{moment(one.created_ms)}</td><td>{moment(one.used_ms)}</td><td>{moment(one.expires_ms)}</td><td><Button onClick={() => end.mutate({ id: one.id, mine: !all })}>End</Button></td></tr>)}</tbody>
          </table></div>
        )}
      </Read>
    </Panel>
  );
}

function Audit() {
  const [principal, setPrincipal] = useState("");
  const [operation, setOperation] = useState("");
  const audit = useAudit(true, principal, operation);
  const [open, setOpen] = useState<number | null>(null);
  return (
    <Panel title="Audit log" tools={<>
      <label className="field" data-filter>Who <input value={principal} onChange={(event) => setPrincipal(event.target.value)} /></label>
      <label className="field">Operation <input value={operation} onChange={(event) => setOperation(event.target.value)} placeholder="config_apply" /></label>
    </>}>
      <Read of={audit} what="Audit log">
        {(data) => (
          <>
            <div className="scroll tall" tabIndex={0} role="region" aria-label="Audit log">
              <table className="grid">
                <thead><tr><th scope="col">when</th><th scope="col">who</th><th scope="col">operation</th><th scope="col">target</th><th scope="col">result</th><th scope="col"><span className="sr">details</span></th></tr></thead>
                <tbody>
                  {data.pages.flatMap((page) => page.items).map((one) => (
                    <tr key={one.id}>
                      <th scope="row">{moment(one.at_ms)}</th><td>{one.principal}{one.role == null ? "" : ` (${one.role})`}<br /><span className="muted mono">{one.address}</span></td><td>{one.operation}</td><td className="mono">{one.target}</td>
                      <td>{one.status < 400 ? <Chip mood="good">{one.status}</Chip> : <Chip mood="bad">{one.status} {one.code ?? ""}</Chip>}</td>
                      <td>{(one.before != null || one.after != null) && <button type="button" className="quiet" aria-expanded={open === one.id} onClick={() => setOpen(open === one.id ? null : one.id)}>Details of {one.id}</button>}
                        {open === one.id && <pre className="record">{JSON.stringify({ before: one.before, after: one.after }, null, 1)}</pre>}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            {audit.hasNextPage && <Button onClick={() => void audit.fetchNextPage()} disabled={audit.isFetchingNextPage}>Older ones</Button>}
          </>
        )}
      </Read>
    </Panel>
  );
}
