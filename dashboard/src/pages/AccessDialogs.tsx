/** Adding a user or a key, changing a password. A secret is shown once. */

import TextField from "@mui/material/TextField";
import { useState } from "react";

import { addKey, addUser, changePassword, useChange } from "../api/actions";
import { Pick } from "../ui/Bits";
import { Ask } from "../ui/Dialogs";
import { roleOf } from "./Access";

export const ROLES = [{ value: "viewer", label: "viewer" }, { value: "operator", label: "operator" }, { value: "admin", label: "admin" }] as const;
const PASSWORD_MIN = 12;
const DAY_MS = 86_400_000;

export function AddUser({ onClose }: { readonly onClose: () => void }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState("viewer");
  const adding = useChange(addUser, ["users", "audit"]);
  return (
    <Ask title="Add a user" action="Add" isReady={name !== "" && password.length >= PASSWORD_MIN} isPending={adding.isPending} error={adding.error} onClose={onClose} onDo={() => adding.mutate({ name, password, role: roleOf(role) }, { onSuccess: onClose })}>
      <TextField label="Name" value={name} autoFocus required autoComplete="off" onChange={(event) => setName(event.target.value)} />
      <TextField label="Password" type="password" value={password} required autoComplete="new-password" helperText={`At least ${PASSWORD_MIN} characters`} onChange={(event) => setPassword(event.target.value)} />
      <Pick label="Role" value={role} onChange={setRole} options={ROLES} />
    </Ask>
  );
}

const LIVES = [{ value: "", label: "never" }, { value: "1", label: "in a day" }, { value: "30", label: "in 30 days" }, { value: "365", label: "in a year" }] as const;

export function AddKey({ onClose }: { readonly onClose: () => void }) {
  const [name, setName] = useState("");
  const [role, setRole] = useState("viewer");
  const [days, setDays] = useState("30");
  const [copied, setCopied] = useState(false);
  const adding = useChange(addKey, ["keys", "audit"]);
  const secret = adding.data?.secret;
  const make = () => adding.mutate({ name, role: roleOf(role), ...(days === "" ? {} : { expires_ms: Date.now() + Number(days) * DAY_MS }) });
  if (secret !== undefined) {
    return (
      <Ask title="Copy the key now" action="I have it" onClose={onClose} onDo={onClose}>
        <p>It is not shown again; only its hash is kept.</p>
        <pre className="record" tabIndex={0} aria-label="Key">{secret}</pre>
        <div className="row"><button type="button" className="quiet" onClick={() => void navigator.clipboard.writeText(secret).then(() => setCopied(true), () => setCopied(false))}>{copied ? "Copied" : "Copy"}</button></div>
      </Ask>
    );
  }
  return (
    <Ask title="Make an API key" action="Make" isReady={name !== ""} isPending={adding.isPending} error={adding.error} onClose={onClose} onDo={make}>
      <TextField label="Name" value={name} autoFocus required onChange={(event) => setName(event.target.value)} />
      <Pick label="Role" value={role} onChange={setRole} options={ROLES} />
      <Pick label="Ends" value={days} onChange={setDays} options={LIVES} />
    </Ask>
  );
}

export function ChangePassword({ onClose }: { readonly onClose: () => void }) {
  const [present, setPresent] = useState("");
  const [fresh, setFresh] = useState("");
  const changing = useChange(changePassword);
  return (
    <Ask title="Change my password" action="Change" isReady={present !== "" && fresh.length >= PASSWORD_MIN} isPending={changing.isPending} error={changing.error} onClose={onClose} onDo={() => changing.mutate({ present, new: fresh }, { onSuccess: onClose })}>
      <p>All of your sessions end, this one too.</p>
      <TextField label="Present password" type="password" value={present} autoFocus autoComplete="current-password" onChange={(event) => setPresent(event.target.value)} />
      <TextField label="New password" type="password" value={fresh} autoComplete="new-password" helperText={`At least ${PASSWORD_MIN} characters`} onChange={(event) => setFresh(event.target.value)} />
    </Ask>
  );
}
