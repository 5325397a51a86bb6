/**
 * Who is signed in. The access token stays in memory; the refresh token is shared by the tabs of this browser and used
 * under a lock, because the server ends a session whose refresh token comes twice. An API key, or the token of the
 * first start, stays with its tab.
 */

import { ApiProblem, isRecord, problemFrom, unreachable } from "./problem";
import { createStore } from "./store";

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

const REFRESH_KEY = "millrace.refresh";
const TOKEN_KEY = "millrace.token";
/** Part of its life after which an access token is renewed. */
const RENEW_AT = 0.8;
const TIMEOUT_MS = 15_000;
const START_AGAIN_MS = 2_000;

export const session = createStore<Session>({ state: "starting" });

let access: string | null = null;
let renewal: ReturnType<typeof setTimeout> | undefined;
let renewing: Promise<boolean> | null = null;

const RANK: Record<Role, number> = { viewer: 0, operator: 1, admin: 2 };

/** Whether a role may do what needs another. */
export function suffices(role: Role, needed: Role): boolean {
  return RANK[role] >= RANK[needed];
}

/** Storage may be forbidden; then a reload asks to sign in again. */
function kept(storage: () => Storage, key: string): string | null {
  try { return storage().getItem(key); } catch { return null; }
}

function keep(storage: () => Storage, key: string, value: string | null): void {
  try {
    if (value === null) storage().removeItem(key); else storage().setItem(key, value);
  } catch { /* it lives as long as this page */ }
}

const local = () => localStorage;
const ofTab = () => sessionStorage;

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

function adopt(answer: unknown): void {
  if (!isRecord(answer) || typeof answer["access_token"] !== "string" || typeof answer["refresh_token"] !== "string") {
    throw new ApiProblem({ code: "dashboard", status: -1, title: "The answer is not understood", detail: "login brought no tokens" });
  }
  access = answer["access_token"];
  keep(local, REFRESH_KEY, answer["refresh_token"]);
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

async function locked(work: () => Promise<boolean>): Promise<boolean> {
  // Without locks (plain HTTP from elsewhere) tabs may race; the loser signs in again.
  const locks = tabLocks();
  return locks === null ? work() : await locks.request("millrace.refresh", work);
}

/** Renews the access token. `false`: one has to sign in again. */
export function renew(): Promise<boolean> {
  renewing ??= locked(async () => {
    const refresh = kept(local, REFRESH_KEY);
    if (refresh === null) return false;
    try {
      adopt(await post("/api/v1/refresh", { refresh_token: refresh }));
      return true;
    } catch (error) {
      if (error instanceof ApiProblem && error.isPassing) throw error;
      keep(local, REFRESH_KEY, null);
      return false;
    }
  }).finally(() => { renewing = null; });
  return renewing;
}

/** The answer to a token that is refused: another one, or the sign-in page. Throws while the server cannot be asked. */
export async function refused(): Promise<boolean> {
  if (kept(ofTab, TOKEN_KEY) === null && await renew()) return true;
  // Whoever has signed out already knows why.
  if (session.get().state !== "signed-out") signedOut("Your session has ended. Sign in again to go on where you were.");
  return false;
}

function signedOut(reason: string | null): void {
  access = null;
  clearTimeout(renewal);
  keep(local, REFRESH_KEY, null);
  keep(ofTab, TOKEN_KEY, null);
  session.set({ state: "signed-out", reason });
}

/** Signs out because the server has ended all sessions. An API key goes on. */
export function sessionsEnded(reason: string): void {
  if (kept(ofTab, TOKEN_KEY) === null) signedOut(reason);
}

/** A token in the fragment of the address, as the demo prints it: it never reaches a server or its logs. */
function tokenOfAddress(): string | null {
  const found = /^#t=([\w.-]+)$/.exec(location.hash);
  if (!found?.[1]) return null;
  history.replaceState(null, "", location.pathname + location.search);
  return found[1];
}

/** Finds out who is signed in when the page opens; tries again while the server cannot be asked. */
export async function start(token: string | null = tokenOfAddress() ?? kept(ofTab, TOKEN_KEY)): Promise<void> {
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
  adopt(await post("/api/v1/login", { name, password }));
  keep(ofTab, TOKEN_KEY, null);
  session.set({ state: "signed-in", me: await whoami() });
}

export async function signInWithToken(token: string): Promise<void> {
  access = token;
  try {
    const me = await whoami();
    keep(ofTab, TOKEN_KEY, token);
    session.set({ state: "signed-in", me });
  } catch (error) {
    access = null;
    throw error;
  }
}

export async function signOut(): Promise<void> {
  const header = authorization();
  const isSession = kept(ofTab, TOKEN_KEY) === null;
  signedOut(null);
  if (isSession && header !== null) {
    // Here one is signed out in any case; the server's session ends by itself if this does not arrive.
    await ask("/api/v1/logout", { method: "POST", headers: { authorization: header } }).catch(() => undefined);
  }
}
