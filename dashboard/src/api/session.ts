/**
 * Who is signed in. The access token stays in memory; the refresh token is shared by the tabs of this browser and used
 * under a lock, because the server ends a session whose refresh token comes again later. An API key, or the token of the
 * first start, stays with its tab.
 */

import { ApiProblem, isRecord, problemFrom, unreachable } from "./problem";
import { createStore } from "./store";
import { keepRefresh, readRefresh } from "./vault";

export type Role = "viewer" | "operator" | "admin";

export interface Me {
  readonly name: string;
  readonly role: Role;
  readonly proof: string;
}

export type Session =
  | { readonly state: "starting" }
  | { readonly state: "signed-out"; readonly reason: string | null }
  | { readonly state: "signed-in"; readonly me: Me };

const TOKEN_KEY = "millrace.token";
/** Part of its life after which an access token is renewed. */
const RENEW_AT = 0.8;
const TIMEOUT_MS = 15_000;
const START_AGAIN_MS = 2_000;
/** Refresh tokens that are tried in one renewal: another may be kept while one is asked about. */
const RENEWALS_MAX = 3;

export const session = createStore<Session>({ state: "starting" });

let access: string | null = null;
let renewal: ReturnType<typeof setTimeout> | undefined;
let renewing: Promise<boolean> | null = null;

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Whether a role may do what needs another. */
export function suffices(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** The tab's own token. Storage may be forbidden; then a reload asks to sign in again. */
function ownToken(): string | null {
  try { return sessionStorage.getItem(TOKEN_KEY); } catch { return null; }
}

function keepOwnToken(token: string | null): void {
  try {
    if (token === null) sessionStorage.removeItem(TOKEN_KEY); else sessionStorage.setItem(TOKEN_KEY, token);
  } catch { /* it lives as long as this page */ }
}

/** The header that says who asks. */
export function authorization(): string | null {
  return access === null ? null : `Bearer ${access}`;
}

async function ask(path: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (error) {
    throw unreachable(error);
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw problemFrom(response, body);
  return body;
}

function post(path: string, body: unknown): Promise<unknown> {
  return ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

async function adopt(answer: unknown): Promise<void> {
  if (!isRecord(answer) || typeof answer["access_token"] !== "string" || typeof answer["refresh_token"] !== "string") {
    throw new ApiProblem({ code: "dashboard", status: -1, title: "The answer is not understood", detail: "login brought no tokens" });
  }
  access = answer["access_token"];
  await keepRefresh(answer["refresh_token"]);
  const life = Number(answer["expires_in"]);
  clearTimeout(renewal);
  renewal = setTimeout(() => void renew(), Math.max(5, life * RENEW_AT) * 1_000);
}

async function whoami(): Promise<Me> {
  const me = await ask("/api/v1/me", { headers: { authorization: authorization() ?? "" } });
  if (!isRecord(me)) throw new ApiProblem({ code: "dashboard", status: -1, title: "The answer is not understood", detail: "/me" });
  const role = me["role"];
  const known = role === "admin" || role === "operator" ? role : "viewer";
  return { name: String(me["name"]), role: known, proof: String(me["proof"]) };
}

/** Locks between the tabs of this browser; there are none over plain HTTP from elsewhere. */
export function tabLocks(): LockManager | null {
  return (navigator as Partial<Navigator>).locks ?? null;
}

async function locked<T>(work: () => Promise<T>): Promise<T> {
  // Without locks two tabs may send the same token; the server lets that pass within half a minute.
  const locks = tabLocks();
  return locks === null ? work() : await locks.request("millrace.refresh", work);
}

/** Renews the access token. `false`: one has to sign in again. */
export function renew(): Promise<boolean> {
  renewing ??= locked(async () => {
    for (let turn = 0; turn < RENEWALS_MAX; turn += 1) {
      const refresh = await readRefresh();
      if (refresh === null) return false;
      try {
        await adopt(await post("/api/v1/refresh", { refresh_token: refresh }));
        return true;
      } catch (error) {
        if (error instanceof ApiProblem && error.isPassing) throw error;
        // Only what was refused is forgotten: another tab may have signed in meanwhile.
        if (await readRefresh() === refresh) await keepRefresh(null);
      }
    }
    return false;
  }).finally(() => { renewing = null; });
  return renewing;
}

/** The answer to a token that is refused: another one, or the sign-in page. Throws while the server cannot be asked. */
export async function refused(): Promise<boolean> {
  if (ownToken() === null && await renew()) return true;
  // Whoever has signed out already knows why.
  if (session.get().state !== "signed-out") signedOut("Your session has ended. Sign in again to go on where you were.");
  return false;
}

/** Forgets what this tab has; the session of other tabs goes on. */
function signedOut(reason: string | null): void {
  access = null;
  clearTimeout(renewal);
  keepOwnToken(null);
  session.set({ state: "signed-out", reason });
}

/** Signs out because the server has ended all sessions. An API key goes on. */
export function sessionsEnded(reason: string): void {
  if (ownToken() !== null) return;
  void keepRefresh(null);
  signedOut(reason);
}

/** A token in the fragment of the address, as the demo prints it: it never reaches a server or its logs. */
function tokenOfAddress(): string | null {
  const found = /^#t=([\w.-]+)$/.exec(location.hash);
  if (!found?.[1]) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return found[1];
}

/** Finds out who is signed in when the page opens; tries again while the server cannot be asked. */
export async function start(token: string | null = tokenOfAddress() ?? ownToken()): Promise<void> {
  try {
    if (token !== null) await signInWithToken(token);
    else if (await renew()) session.set({ state: "signed-in", me: await whoami() });
    else session.set({ state: "signed-out", reason: null });
  } catch (error) {
    if (error instanceof ApiProblem && error.isPassing) setTimeout(() => void start(token), START_AGAIN_MS);
    else signedOut("The token is not valid any more. Sign in again.");
  }
}

export async function signIn(name: string, password: string): Promise<void> {
  const answer = await post("/api/v1/login", { name, password });
  // A renewal of another tab that is under way has written before.
  await locked(() => adopt(answer));
  keepOwnToken(null);
  session.set({ state: "signed-in", me: await whoami() });
}

export async function signInWithToken(token: string): Promise<void> {
  access = token;
  try {
    const me = await whoami();
    keepOwnToken(token);
    session.set({ state: "signed-in", me });
  } catch (error) {
    access = null;
    throw error;
  }
}

export async function signOut(): Promise<void> {
  const header = authorization();
  const isSession = ownToken() === null;
  // Before the page says so: a reload must not sign in again.
  if (isSession) await keepRefresh(null);
  signedOut(null);
  if (isSession && header !== null) {
    // Here one is signed out in any case; the server's session ends by itself if this does not arrive.
    await ask("/api/v1/logout", { method: "POST", headers: { authorization: header } }).catch(() => undefined);
  }
}
