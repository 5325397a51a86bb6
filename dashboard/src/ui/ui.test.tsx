import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import axe from "axe-core";
import { afterEach, describe, expect, it, vi } from "vitest";

import { ApiProblem } from "../api/problem";
import { session } from "../api/session";
import { Bars } from "../charts/Bars";
import { Figure } from "../charts/Figure";
import { Topology } from "../charts/Topology";
import { Empty, Facts, ProblemNotice, Read, RoleButton } from "./Bits";
import { Walk } from "../pages/Waterfall";
import { Ask } from "./Dialogs";
import { RecordDetail, type RecordView } from "./Record";
import { SignIn } from "./SignIn";

afterEach(cleanup);

/** What axe finds; colours need a browser and are looked at there. */
async function violations(): Promise<string[]> {
  const found = await axe.run(document.body, { rules: { "color-contrast": { enabled: false }, region: { enabled: false }, "page-has-heading-one": { enabled: false }, "heading-order": { enabled: false } } });
  return found.violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(" ")}`);
}

const PAYLOAD = "<img src=x onerror=alert(1)>";

describe("a figure", () => {
  it("has a title, a sentence and a table that one can open", async () => {
    render(<Figure title="Messages" sentence="12/s in." table={() => ({ head: ["time", "in"], rows: [["12:00:00", "12/s"]] })}><div /></Figure>);
    expect(screen.getByRole("figure", { name: "Messages" })).toBeTruthy();
    expect(screen.getByText("12/s in.")).toBeTruthy();
    expect(screen.queryByRole("table")).toBeNull();
    fireEvent.click(screen.getByRole("button", { name: "Table" }));
    expect(screen.getByRole("rowheader", { name: "12:00:00" })).toBeTruthy();
    expect(await violations()).toEqual([]);
  });

  it("of bars and of the walk says in text what it shows", async () => {
    render(<><Bars label="Types" head={["type", "share"]} bars={[{ key: "a", label: PAYLOAD, value: 1, text: "100 %" }]} /><Topology label="Walk" stations={[{ key: "q", label: "queue", figure: "3", note: "waiting", mood: "good" }]} rates={[]} /></>);
    expect(screen.getByText(PAYLOAD)).toBeTruthy();
    expect(document.querySelector("img")).toBeNull();
    expect(await violations()).toEqual([]);
  });
});

describe("the waterfall", () => {
  const stage = (name: string, us: number, count: number) => ({ stage: name, percentiles: { count, p50_us: us, p90_us: us, p99_us: us, p999_us: us, max_us: us }, points: count === 0 ? [] : [{ percentile: 100, value_us: us, count }] });
  const stages = [stage("decode", 0, 9), stage("pipeline", 10, 9), stage("handoff", 0, 0), stage("produce_to_ack", 70, 9), stage("ack_to_deleted", 20, 9), stage("end_to_end", 100, 9)];

  it.each([false, true])("says of an appliance without handoff that it has none, not that it took no time (shares: %s)", async (isShare) => {
    render(<Walk label="median" percentile={50} stages={stages} isShare={isShare} slowest={100} />);
    const cells = screen.getAllByRole("cell").map((cell) => cell.textContent);
    expect(cells).toEqual(isShare
      ? ["0 %", "10 %", "– no handoff on this appliance", "70 %", "20 %"]
      : ["0 µs", "10 µs", "– no handoff on this appliance", "70 µs", "20 µs"]);
    expect(document.querySelectorAll("svg.fall rect")).toHaveLength(4);
    expect(await violations()).toEqual([]);
  });
});

describe("what is read", () => {
  const reading = { data: undefined, error: null, isPending: true, refetch: vi.fn() };
  const problem = new ApiProblem({ code: "upstream", status: 502, title: "The other side does not answer", detail: "connection refused", errors: [{ field: "kafka.brokers", text: "not reachable" }], retryAfterS: 2 });

  it("has four states: not here, not to be had, old, here", () => {
    const page = render(<Read of={reading} what="Topics">{() => <p>never</p>}</Read>);
    expect(document.querySelector("[aria-busy=true]")).toBeTruthy();
    page.rerender(<Read of={{ ...reading, error: problem }} what="Topics">{() => <p>never</p>}</Read>);
    expect(screen.getByRole("alert").textContent).toContain("connection refused");
    page.rerender(<Read of={{ ...reading, data: "x", error: problem }} what="Topics">{(data: string) => <p>old {data}</p>}</Read>);
    expect([screen.getByText("old x"), screen.getByRole("alert")].every(Boolean)).toBe(true);
    page.rerender(<Read of={{ ...reading, data: "y", isPending: false }} what="Topics">{(data: string) => <p>new {data}</p>}</Read>);
    expect(screen.getByText("new y")).toBeTruthy();
    expect(screen.queryByRole("alert")).toBeNull();
  });

  it("tells of a problem its code, its fields and how to go on", async () => {
    const again = vi.fn();
    render(<ProblemNotice error={problem} onRetry={again} />);
    for (const text of ["upstream", "kafka.brokers", "wait 2 s"]) expect(screen.getByText(text)).toBeTruthy();
    fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(again).toHaveBeenCalledOnce();
    expect(await violations()).toEqual([]);
  });

  it("when there is nothing says why and what to do", () => {
    render(<><Empty title="No topic" why="There is none." command="millrace demo" /><Facts of={[["a", "b"]]} /></>);
    expect(screen.getByText("millrace demo")).toBeTruthy();
  });
});

describe("a button that needs a role", () => {
  it("is there and says which, and works for who has it", async () => {
    const click = vi.fn();
    session.set({ state: "signed-in", me: { name: "v", role: "viewer", proof: "session" } });
    const page = render(<RoleButton needs="operator" onClick={click}>Pause</RoleButton>);
    const button = () => screen.getByRole("button", { name: "Pause" });
    expect(button()).toHaveProperty("disabled", true);
    expect(document.querySelector("[aria-label='Needs the role operator']")).toBeTruthy();
    expect(await violations()).toEqual([]);
    session.set({ state: "signed-in", me: { name: "o", role: "operator", proof: "session" } });
    page.rerender(<RoleButton needs="operator" onClick={click}>Pause</RoleButton>);
    fireEvent.click(button());
    expect(click).toHaveBeenCalledOnce();
  });
});

describe("a question", () => {
  it("is not answered before the name is typed", async () => {
    const run = vi.fn();
    render(<Ask title="Delete orders?" action="Delete for good" typed="orders" onClose={() => undefined} onDo={run} />);
    const button = screen.getByRole("button", { name: "Delete for good" });
    expect(button).toHaveProperty("disabled", true);
    fireEvent.change(screen.getByRole("textbox"), { target: { value: "order" } });
    expect(button).toHaveProperty("disabled", true);
    fireEvent.change(screen.getByRole("textbox"), { target: { value: "orders" } });
    fireEvent.click(button);
    expect(run).toHaveBeenCalledOnce();
    expect(await violations()).toEqual([]);
  });
});

describe("a record", () => {
  const shown = (value: unknown) => ({ bytes: 9, sha256: "00", kind: "text", value: value });
  const record: RecordView = {
    topic: "dead", partition: 1, offset: 2, timestamp_ms: 0, message_id: PAYLOAD, key: shown(PAYLOAD), body: shown(PAYLOAD),
    headers: [{ name: PAYLOAD, value: shown(PAYLOAD) }],
    reason: { code: PAYLOAD, stage: PAYLOAD, text: PAYLOAD, attempts: 1, queue: PAYLOAD, pipeline: PAYLOAD, rejected_at_ms: 0 },
  };

  it("is text whatever it says, in every form", async () => {
    render(<RecordDetail record={record} />);
    for (const form of ["raw", "hex", "pretty"]) {
      fireEvent.click(screen.getByRole("button", { name: form }));
      expect(document.querySelector("img")).toBeNull();
    }
    expect(screen.getAllByText(PAYLOAD).length).toBeGreaterThan(3);
    expect(await violations()).toEqual([]);
  });

  it("that is covered says of what kind and how large it is", () => {
    render(<RecordDetail record={{ ...record, body: { bytes: 2_048, sha256: "9f86", kind: "json", value: null } }} />);
    expect(screen.getByText("(covered: json, 2 KiB, SHA-256 9f86…)")).toBeTruthy();
  });
});

describe("signing in", () => {
  it("is a form with names, by password or by token", async () => {
    render(<SignIn reason="Your session has ended." />);
    expect(screen.getByLabelText(/Name/)).toBeTruthy();
    expect(screen.getByLabelText(/Password/)).toBeTruthy();
    expect(await violations()).toEqual([]);
    fireEvent.click(screen.getByRole("button", { name: "Use a token instead" }));
    expect(screen.queryByLabelText(/Name/)).toBeNull();
    expect(screen.getByLabelText(/Token/)).toBeTruthy();
  });

  it("that is refused says why and keeps what was typed", async () => {
    vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify({ code: "unauthenticated", title: "A valid token is needed", detail: "name or password is wrong" }), { status: 401 })));
    render(<SignIn reason={null} />);
    fireEvent.change(screen.getByLabelText(/Name/), { target: { value: "ada" } });
    fireEvent.change(screen.getByLabelText(/Password/), { target: { value: "wrong" } });
    fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
    expect((await screen.findByRole("alert")).textContent).toContain("name or password is wrong");
    expect(screen.getByLabelText(/Name/)).toHaveProperty("value", "ada");
  });
});
