// The demo with real traffic: signing in as each role, figures that move, steering, users and keys, the keyboard.
import { strict as assert } from "node:assert";

import { open, signIn, watched } from "./browser.mjs";
import { demo, until } from "./world.mjs";

export const PASSWORD = "correct horse battery staple";
/** Reloads of two tabs at once. */
const TURNS = 5;

/** Makes users with the token of the first start; the token ends with the first admin. */
export async function makeUsers(world) {
  const call = async (token, path, body) => {
    const answer = await fetch(`${world.url}/api/v1${path}`, { method: "POST", headers: { authorization: `Bearer ${token}`, "content-type": "application/json" }, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status}`);
    return answer.json();
  };
  await call(world.token, "/users", { name: "ada", password: PASSWORD, role: "admin" });
  const { access_token: token } = await call("", "/login", { name: "ada", password: PASSWORD });
  for (const [name, role] of [["otto", "operator"], ["vera", "viewer"]]) await call(token, "/users", { name, password: PASSWORD, role });
}

/** The state of the pipeline as the page shows it. */
const state = (page) => page.locator(".panel").filter({ has: page.getByRole("heading", { name: "demo", exact: true }) }).locator(".chip").first().innerText();

export async function walk(browser, check) {
  const world = await demo(["--rate", "400"]);
  const page = await watched(browser, world.url);

  await check("the link that the demo prints signs in, and takes the token out of the address", async () => {
    await page.goto(`${world.url}/#t=${world.token}`);
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    assert.equal(new URL(page.url()).hash, "");
    await page.getByText("✓ adds up").waitFor();
    await page.getByText(/bootstrap · admin/).waitFor();
  });

  await check("the first admin is made on the page, and the token of the first start ends", async () => {
    await open(page, "Access");
    await page.getByRole("button", { name: "Add user" }).click();
    await page.getByLabel("Name").fill("ada");
    await page.getByLabel("Password").fill(PASSWORD);
    await page.getByRole("dialog").getByLabel("Role").selectOption("admin");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText(/Your session has ended|The token is not valid|ada/).first().waitFor();
    await until("the sign-in page", () => page.getByRole("heading", { name: "Sign in" }).isVisible());
  });

  await check("an admin adds an operator and a viewer, and makes a key whose secret is shown once", async () => {
    await signIn(page, world.url, "ada", PASSWORD);
    await open(page, "Access");
    for (const [name, role] of [["otto", "operator"], ["vera", "viewer"]]) {
      await page.getByRole("button", { name: "Add user" }).click();
      await page.getByLabel("Name").fill(name);
      await page.getByLabel("Password").fill(PASSWORD);
      await page.getByRole("dialog").getByLabel("Role").selectOption(role);
      await page.getByRole("button", { name: "Add", exact: true }).click();
      await page.getByRole("rowheader", { name, exact: true }).first().waitFor();
    }
    await page.getByRole("button", { name: "Make key" }).click();
    await page.getByLabel("Name").fill("prometheus");
    await page.getByRole("button", { name: "Make", exact: true }).click();
    const secret = await page.getByLabel("Key", { exact: true }).innerText();
    assert.match(secret, /^mk_/);
    await page.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("rowheader", { name: "prometheus" }).waitFor();
    assert.ok(!(await page.content()).includes(secret), "the secret is gone");
    const me = await fetch(`${world.url}/api/v1/me`, { headers: { authorization: `Bearer ${secret}` } });
    assert.equal((await me.json()).role, "viewer");
    await page.getByRole("cell", { name: "keys_create" }).first().waitFor();
  });

  await check("a viewer sees everything and may change nothing; the page says which role is needed", async () => {
    const viewer = await watched(browser, world.url);
    await signIn(viewer, world.url, "vera", PASSWORD);
    await open(viewer, "Pipelines");
    assert.ok(await viewer.getByRole("button", { name: "Pause", exact: true }).isDisabled());
    await viewer.getByLabel("Needs the role operator").first().hover();
    await viewer.getByRole("tooltip", { name: "Needs the role operator" }).waitFor();
    await open(viewer, "Access");
    await viewer.getByText("Users, keys and the audit log need the role admin.").waitFor();
    await viewer.context().close();
  });

  await check("a session is renewed after a reload, in two tabs at once", async () => {
    const second = await page.context().newPage();
    // Several turns: what one tab reads of what the other has written is a matter of their timing.
    for (let turn = 0; turn < TURNS; turn += 1) {
      await Promise.all([page.reload(), second.goto(`${world.url}/ui/latency`)]);
      await second.getByRole("heading", { name: "Latency", exact: true }).waitFor();
      await page.getByText(/ada · admin/).waitFor();
      await second.getByText(/ada · admin/).waitFor();
    }
    await second.close();
  });

  await check("a session goes on although the answer to its renewal is lost", async () => {
    let lost = 0;
    await page.route("**/api/v1/refresh", async (route) => {
      assert.equal((await route.fetch()).status(), 200);
      lost += 1;
      await route.abort();
    }, { times: 1 });
    await page.reload();
    await page.getByText(/ada · admin/).waitFor();
    assert.equal(lost, 1);
  });

  await check("the percentile curve is live and stands still when it is paused", async () => {
    await page.goto(`${world.url}/ui/latency?span=60`);
    const messages = async () => Number((await page.getByRole("row", { name: /^messages/ }).getByRole("cell").last().innerText()).replace(/\D/g, ""));
    await page.getByRole("row", { name: /^messages/ }).waitFor();
    const caption = () => page.locator("figure figcaption").first().innerText();
    const before = await caption();
    await until("another curve", async () => (await caption()) !== before);
    assert.ok(await messages() > 100);
    await page.locator("#content").focus();
    await page.keyboard.press("Space");
    await page.getByRole("button", { name: "Go on" }).waitFor();
    await page.waitForTimeout(1_500);
    const held = await caption();
    await page.waitForTimeout(2_500);
    assert.equal(await caption(), held);
    await page.keyboard.press("Space");
    await until("the curve to go on", async () => (await caption()) !== held);
  });

  await check("the heatmap moves, and a cell opens its window", async () => {
    await page.goto(`${world.url}/ui/heatmap?span=60`);
    const picture = () => page.locator("canvas").nth(1).evaluate((canvas) => canvas.toDataURL().length + canvas.toDataURL().slice(-2_000));
    await page.locator(".plot.heat canvas").first().waitFor();
    const before = await picture();
    await until("another picture", async () => (await picture()) !== before);
    await page.locator(".plot.heat").first().focus();
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("ArrowLeft");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").getByRole("link", { name: /Percentile curve/ }).click();
    await page.getByRole("heading", { name: "Latency", exact: true }).waitFor();
    assert.match(page.url(), /to=\d+/);
  });

  await check("a baseline is saved, compared with, exported, and imported again", async () => {
    await page.goto(`${world.url}/ui/latency?span=60`);
    await page.getByRole("row", { name: /^messages/ }).waitFor();
    await page.locator("#content").focus();
    await page.keyboard.press("b");
    await page.getByLabel("Name").fill("before");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByRole("columnheader", { name: "end to end, before" }).waitFor();
    await page.getByRole("button", { name: "Export" }).click();
    const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: "end to end as .hgrm" }).click()]);
    const path = await file.path();
    await page.getByLabel("Histogram file").setInputFiles({ name: "theirs.hgrm", mimeType: "text/plain", buffer: (await import("node:fs")).readFileSync(path) });
    await page.getByRole("columnheader", { name: "theirs.hgrm" }).waitFor();
    await page.getByRole("button", { name: "Export" }).click();
    const [v2] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", { name: "All stages as V2 histograms" }).click()]);
    const histograms = JSON.parse((await import("node:fs")).readFileSync(await v2.path(), "utf8"));
    const end = histograms.stages.find((stage) => stage.stage === "end_to_end").histogram;
    await page.getByLabel("Histogram file").setInputFiles({ name: "v2.b64", mimeType: "text/plain", buffer: Buffer.from(end) });
    await page.getByRole("columnheader", { name: "v2.b64" }).waitFor();
    await open(page, "Compare runs");
    await page.getByRole("button", { name: "before", exact: true }).click();
    await page.getByRole("heading", { name: "end to end", exact: true }).waitFor();
  });

  await check("a pipeline is paused, resumed and drained, and the audit log tells who did it", async () => {
    await open(page, "Pipelines");
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Pause", exact: true }).click();
    await until("paused", async () => (await state(page)) === "paused");
    await page.getByText(/Pipeline demo is paused/).waitFor();
    await page.getByRole("button", { name: "Resume", exact: true }).click();
    await until("running", async () => (await state(page)) === "running");
    await page.getByRole("button", { name: "Drain", exact: true }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Drain", exact: true }).click();
    await until("drained", async () => (await state(page)) === "paused" && (await page.getByText("Nothing is held.").isVisible()), 40);
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await until("running", async () => (await state(page)) === "running");
    await page.getByText(/Last change: .* by ada/).waitFor();
  });

  await check("by the keyboard alone: a screen, a pause, a resume", async () => {
    await page.locator("#content").focus();
    await page.keyboard.press("g");
    await page.keyboard.press("o");
    await page.getByRole("heading", { name: "Overview", exact: true }).waitFor();
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await page.keyboard.type("pipelines");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Pipelines", exact: true }).waitFor();
    await tabTo(page, "Pause");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await tabTo(page, "Pause");
    await page.keyboard.press("Enter");
    await until("paused", async () => (await state(page)) === "paused");
    await tabTo(page, "Resume");
    await page.keyboard.press("Enter");
    await until("running", async () => (await state(page)) === "running");
  });

  await check("the law holds at the end, and signing out ends the session", async () => {
    await page.getByText("✓ adds up").waitFor();
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    await page.reload();
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  });
  await page.context().close();
  await world.end();
}

/** Presses Tab until a button has the focus. */
async function tabTo(page, name) {
  for (let press = 0; press < 120; press += 1) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => { const element = document.activeElement; return element?.tagName === "BUTTON" && !element.disabled ? element.textContent : ""; });
    if (at === name) return;
  }
  throw new Error(`Tab does not lead to ${name}`);
}
