/**
 * Tabs of one browser and what they keep. Method: each tab is a copy of the modules of its own; IndexedDB and the lock are
 * played by a few lines that keep the promises on which the tabs rely, and localStorage hands out what is old, as it may.
 */
import { beforeEach, expect, it, vi } from "vitest";

const SESSION = "./session";

/** What the tabs share: committed values, written a turn of the loop after they were put. */
function playDatabase(committed: Map<string, unknown>): void {
  const later = (work: () => void) => setTimeout(work, 1);
  const request = (result: unknown) => ({ result, onsuccess: null as (() => void) | null });
  const room = {
    get: (key: string) => request(committed.get(key)),
    put: (value: unknown, key: string) => { later(() => committed.set(key, value)); return request(key); },
    delete: (key: string) => { later(() => committed.delete(key)); return request(undefined); },
  };
  const transaction = () => {
    const step = { objectStore: () => room, oncomplete: null as (() => void) | null };
    setTimeout(() => step.oncomplete?.(), 2);
    return step;
  };
  const open = () => {
    const opening = request({ transaction });
    later(() => opening.onsuccess?.());
    return opening;
  };
  vi.stubGlobal("indexedDB", { open });
}

/** One lock: whoever asks later waits for all before. */
function playLocks(): void {
  let last: Promise<unknown> = Promise.resolve();
  const request = (_name: string, work: () => Promise<unknown>) => {
    const mine = last.then(work);
    last = mine.catch(() => undefined);
    return mine;
  };
  vi.stubGlobal("navigator", { locks: { request } });
}

async function tab(): Promise<typeof import("./session")> {
  vi.resetModules();
  return await import(SESSION) as typeof import("./session");
}

const committed = new Map<string, unknown>();
const asked: string[] = [];

beforeEach(() => {
  committed.clear();
  asked.length = 0;
  playDatabase(committed);
  playLocks();
  vi.stubGlobal("localStorage", { getItem: () => "mr_0", setItem: () => undefined, removeItem: () => undefined });
  vi.stubGlobal("fetch", (path: string, init: RequestInit = {}) => {
    if (path !== "/api/v1/refresh") return Promise.resolve(new Response(JSON.stringify({ name: "ada", role: "admin", proof: "session" })));
    const sent = /mr_\d+/.exec(typeof init.body === "string" ? init.body : "")?.[0] ?? "";
    const isUsedUp = asked.includes(sent);
    asked.push(sent);
    const tokens = { access_token: `a${asked.length}`, refresh_token: `mr_${asked.length}`, expires_in: 900 };
    return Promise.resolve(new Response(JSON.stringify(isUsedUp ? { code: "unauthenticated" } : tokens), { status: isUsedUp ? 401 : 200 }));
  });
});

it("tabs that open at once each renew with the token that the one before has got", async () => {
  committed.set("refresh", "mr_0");
  const tabs = [await tab(), await tab(), await tab()];
  await Promise.all(tabs.map((one) => one.start(null)));
  expect(asked).toEqual(["mr_0", "mr_1", "mr_2"]);
  expect(tabs.map((one) => one.session.get().state)).toEqual(["signed-in", "signed-in", "signed-in"]);
  expect(committed.get("refresh")).toBe("mr_3");
});

it("signing out is kept before the page says so, for all tabs", async () => {
  committed.set("refresh", "mr_0");
  const [one, other] = [await tab(), await tab()];
  await one.start(null);
  let atSignOut: unknown = "not told";
  one.session.subscribe(() => { atSignOut = committed.get("refresh"); });
  await one.signOut();
  expect([one.session.get().state, atSignOut]).toEqual(["signed-out", undefined]);
  expect(await other.renew()).toBe(false);
});

it("without any storage a session is renewed for as long as the page is open", async () => {
  vi.stubGlobal("indexedDB", undefined);
  const forbidden = () => { throw new Error("forbidden"); };
  vi.stubGlobal("localStorage", { getItem: forbidden, setItem: forbidden, removeItem: forbidden });
  vi.resetModules();
  const { keepRefresh, readRefresh } = await import("./vault");
  await keepRefresh("mr_7");
  expect(await readRefresh()).toBe("mr_7");
  await keepRefresh(null);
  expect(await readRefresh()).toBeNull();
});
