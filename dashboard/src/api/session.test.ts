import { beforeEach, describe, expect, it, vi } from "vitest";

import { authorization, refused, renew, session, signIn, signInWithToken, signOut, start, suffices } from "./session";
import { body, client } from "./client";
import { ApiProblem } from "./problem";

type Answer = [status: number, body: unknown];
type Asked = { path: string; method: string; headers: Headers; body: string };

const TOKENS = (number: number) => ({ access_token: `a${number}`, refresh_token: `mr_${number}`, expires_in: 900, session: "s", token_type: "Bearer" });
const ADA = { name: "ada", role: "operator", proof: "session" };

/** A server that answers in this order. */
function server(...answers: Answer[]): Asked[] {
  const asked: Asked[] = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit = {}) => {
    const body = typeof init.body === "string" ? init.body : "";
    asked.push({ path: path.replace(location.origin, ""), method: init.method ?? "GET", headers: new Headers(init.headers), body });
    const answer = answers.shift();
    if (answer === undefined) return Promise.reject(new TypeError("connection refused"));
    return Promise.resolve(new Response(answer[0] === 204 ? null : JSON.stringify(answer[1]), { status: answer[0], headers: { "content-type": "application/json" } }));
  });
  return asked;
}

describe("a session", () => {
  beforeEach(() => {
    localStorage.clear();
    sessionStorage.clear();
    history.replaceState(null, "", "/ui/");
    session.set({ state: "starting" });
  });

  it("begins with name and password, and the access token is kept nowhere", async () => {
    const asked = server([200, TOKENS(1)], [200, ADA]);
    await signIn("ada", "correct horse battery");
    expect(session.get()).toEqual({ state: "signed-in", me: { name: "ada", role: "operator", proof: "session" } });
    expect(asked[0]?.path).toBe("/api/v1/login");
    expect(JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])).not.toContain("a1");
    expect(localStorage.getItem("millrace.refresh")).toBe("mr_1");
  });

  it("goes on after a reload with the refresh token, which is used once", async () => {
    localStorage.setItem("millrace.refresh", "mr_1");
    const asked = server([200, TOKENS(2)], [200, ADA]);
    await start();
    expect(session.get().state).toBe("signed-in");
    expect(asked[0]?.body).toContain("mr_1");
    expect(localStorage.getItem("millrace.refresh")).toBe("mr_2");
  });

  it("renews once for all who ask at the same time", async () => {
    localStorage.setItem("millrace.refresh", "mr_1");
    const asked = server([200, TOKENS(2)]);
    expect(await Promise.all([renew(), renew(), renew()])).toEqual([true, true, true]);
    expect(asked).toHaveLength(1);
  });

  it("renews a token that is refused, and sends the request again with the same key", async () => {
    localStorage.setItem("millrace.refresh", "mr_1");
    const asked = server([401, { code: "unauthenticated" }], [200, TOKENS(2)], [200, { name: "orders" }]);
    await body(client.POST("/api/v1/pipelines/{name}/pause", { params: { path: { name: "orders" } } }));
    expect(asked.map((one) => one.path)).toEqual(["/api/v1/pipelines/orders/pause", "/api/v1/refresh", "/api/v1/pipelines/orders/pause"]);
    expect(asked[2]?.headers.get("authorization")).toBe("Bearer a2");
    const keys = [asked[0], asked[2]].map((one) => one?.headers.get("idempotency-key"));
    expect(keys[0]).toBeTruthy();
    expect(keys[0]).toBe(keys[1]);
  });

  it("ends when the refresh token is refused, and says so", async () => {
    localStorage.setItem("millrace.refresh", "mr_1");
    server([401, { code: "unauthenticated" }]);
    expect(await refused()).toBe(false);
    expect(session.get()).toMatchObject({ state: "signed-out", reason: expect.stringContaining("ended") as string });
    expect(localStorage.getItem("millrace.refresh")).toBeNull();
  });

  it("goes on with what another tab has signed in with while its own token was refused", async () => {
    localStorage.setItem("millrace.refresh", "mr_1");
    const asked = server([401, { code: "unauthenticated" }], [200, TOKENS(4)]);
    const answer = fetch;
    vi.stubGlobal("fetch", (...request: Parameters<typeof fetch>) => {
      if (asked.length === 0) localStorage.setItem("millrace.refresh", "mr_3");
      return answer(...request);
    });
    expect(await renew()).toBe(true);
    expect(asked.map((one) => /mr_\d/.exec(one.body)?.[0])).toEqual(["mr_1", "mr_3"]);
    expect(localStorage.getItem("millrace.refresh")).toBe("mr_4");
  });

  it("of other tabs goes on when a key of this tab is refused", async () => {
    localStorage.setItem("millrace.refresh", "mr_1");
    server([401, { code: "unauthenticated" }]);
    await start("mk_revoked");
    expect(session.get().state).toBe("signed-out");
    expect(localStorage.getItem("millrace.refresh")).toBe("mr_1");
  });

  it("does not end because the server cannot be reached", async () => {
    localStorage.setItem("millrace.refresh", "mr_1");
    server();
    await expect(refused()).rejects.toMatchObject({ code: "unreachable" });
    expect(localStorage.getItem("millrace.refresh")).toBe("mr_1");
  });

  it("takes the token of the demo's address, and takes it out of the address", async () => {
    history.replaceState(null, "", "/ui/?span=60#t=mb_abc.DEF-1");
    server([200, { name: "bootstrap", role: "admin", proof: "bootstrap" }]);
    await start();
    expect(session.get().state).toBe("signed-in");
    expect([location.hash, location.search, authorization()]).toEqual(["", "?span=60", "Bearer mb_abc.DEF-1"]);
  });

  it("with a token that is wrong does not begin", async () => {
    server([401, { code: "unauthenticated", title: "A valid token is needed", detail: "no" }]);
    await expect(signInWithToken("mk_wrong")).rejects.toMatchObject({ code: "unauthenticated" });
    expect([authorization(), sessionStorage.getItem("millrace.token")]).toEqual([null, null]);
  });

  it("ends at the server too when one signs out", async () => {
    server([200, TOKENS(1)], [200, ADA]);
    await signIn("ada", "x");
    const asked = server([204, null]);
    await signOut();
    expect(asked.map((one) => [one.path, one.headers.get("authorization")])).toEqual([["/api/v1/logout", "Bearer a1"]]);
    expect([session.get().state, authorization()]).toEqual(["signed-out", null]);
  });

  it("knows which role suffices", () => {
    expect([suffices("admin", "viewer"), suffices("operator", "operator"), suffices("viewer", "operator")]).toEqual([true, true, false]);
  });
});

describe("a problem", () => {
  it("is read from the answer with its fields and the time to wait", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify({ code: "invalid_config", title: "It cannot work", detail: "see", errors: [{ field: "a.b", text: "no" }] }), { status: 422, headers: { "retry-after": "7" } })));
    const problem: unknown = await body(client.GET("/api/v1/alerts")).catch((error: unknown) => error);
    expect(problem).toBeInstanceOf(ApiProblem);
    expect(problem).toMatchObject({ code: "invalid_config", status: 422, errors: [{ field: "a.b", text: "no" }], retryAfterS: 7 });
  });

  it("of a proxy without words still says what is known", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response("<html>", { status: 502 })));
    await expect(body(client.GET("/api/v1/alerts"))).rejects.toMatchObject({ code: "http_502", isPassing: true });
  });
});
