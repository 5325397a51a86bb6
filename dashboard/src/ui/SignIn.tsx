/** The sign-in page: name and password, or a token as the first start and the demo print it. */

import Button from "@mui/material/Button";
import TextField from "@mui/material/TextField";
import { useState } from "react";

import { asProblem, type ApiProblem } from "../api/problem";
import { signIn, signInWithToken } from "../api/session";
import { ProblemNotice } from "./Bits";
import { Mark } from "./Mark";

export function SignIn({ reason }: { readonly reason: string | null }) {
  const [byToken, setByToken] = useState(false);
  const [name, setName] = useState("");
  const [secret, setSecret] = useState("");
  const [problem, setProblem] = useState<ApiProblem | null>(null);
  const [isPending, setPending] = useState(false);

  const submit = (event: React.SyntheticEvent) => {
    event.preventDefault();
    setPending(true);
    setProblem(null);
    const signing = byToken ? signInWithToken(secret.trim()) : signIn(name.trim(), secret);
    signing.catch((error: unknown) => { setProblem(asProblem(error)); setPending(false); });
  };
  const other = () => { setByToken(!byToken); setSecret(""); setProblem(null); };
  const isReady = secret !== "" && (byToken || name.trim() !== "");

  return (
    <main className="sign-in">
      <form className="panel form" onSubmit={submit}>
        <div className="brand"><Mark /> Millrace</div>
        <h1>Sign in</h1>
        {reason !== null && <div className="notice warn" role="status">{reason}</div>}
        {byToken
          ? <p className="muted">An API key (<code>mk_…</code>), or the token that the first start has printed (<code>mb_…</code>). It stays with this tab.</p>
          : <TextField label="Name" value={name} onChange={(event) => setName(event.target.value)} autoComplete="username" autoFocus required />}
        <TextField
          key={byToken ? "token" : "password"} label={byToken ? "Token" : "Password"} type="password" value={secret} required autoFocus={byToken}
          onChange={(event) => setSecret(event.target.value)} autoComplete={byToken ? "off" : "current-password"}
        />
        {problem && <ProblemNotice error={problem} />}
        <Button type="submit" variant="contained" disabled={!isReady || isPending}>{isPending ? "Signing in…" : "Sign in"}</Button>
        <button type="button" className="quiet" onClick={other}>{byToken ? "Use name and password" : "Use a token instead"}</button>
        <p className="muted">Nobody can sign in yet? The first start prints a token; with it: <code>millrace users add NAME --role admin</code></p>
      </form>
    </main>
  );
}
