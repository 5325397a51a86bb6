// `millrace run` between an SQS server and a real Kafka: topics, rejected messages, hostile names, configuration, backups.
import { strict as assert } from "node:assert";

import { open, signIn, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { PAYLOADS } from "./hostile.mjs";
import { appliance, stop, until } from "./world.mjs";

export async function walk(browser, settle) {
  const world = await appliance();
  await makeUsers(world);
  const page = await watched(browser, world.url);
  await signIn(page, world.url, "ada", PASSWORD);
  // Each claim begins on a fresh page, so that one that fails spoils no other.
  const check = (name, claim) => settle(name, async () => { await page.goto(`${world.url}/ui/`); await claim(); });

  await check("a topic is created after the cluster was asked, changed with a diff, and deleted by its typed name", async () => {
    await open(page, "Topics");
    await page.getByRole("button", { name: "Create topic" }).click();
    await page.getByLabel("Name").fill("made-here");
    await page.getByLabel("Partitions").fill("3");
    await page.getByLabel("Configs").fill("retention.ms=3600000");
    await page.getByRole("button", { name: "Ask the cluster" }).click();
    await page.getByText("The cluster would make it.").waitFor();
    await page.getByRole("button", { name: "Create", exact: true }).click();
    await page.getByRole("button", { name: "made-here" }).click();
    await page.getByRole("rowheader", { name: "retention.ms" }).waitFor();
    await page.getByRole("button", { name: "Change configs" }).click();
    await page.getByRole("textbox", { name: "Configs" }).fill("retention.ms=7200000");
    await page.locator("del", { hasText: "3600000" }).waitFor();
    await page.getByRole("button", { name: "Ask the cluster" }).click();
    await page.getByText("The cluster would change it.").waitFor();
    await page.getByRole("button", { name: "Change", exact: true }).click();
    await page.getByRole("cell", { name: "7200000" }).waitFor();
    await page.getByRole("button", { name: "Add partitions" }).click();
    await page.getByLabel(/Type made-here/).fill("made-here");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await until("six partitions", () => page.getByRole("rowheader", { name: "5", exact: true }).isVisible());
    await page.getByRole("button", { name: "Delete topic" }).click();
    await page.getByLabel(/Type made-here/).fill("made-here");
    await page.getByRole("button", { name: "Delete for good" }).click();
    await until("the topic to be gone", async () => (await page.getByRole("button", { name: "made-here" }).count()) === 0);
  });

  await check("a topic that a pipeline uses is not deleted", async () => {
    await open(page, "Topics");
    await page.getByRole("button", { name: "orders", exact: true }).click();
    await page.getByRole("button", { name: "Delete topic" }).click();
    await page.getByText(/Pipelines use it: orders/).waitFor();
    await page.getByLabel(/Type orders/).fill("orders");
    assert.ok(await page.getByRole("button", { name: "Delete for good" }).isDisabled());
    await page.keyboard.press("Escape");
    await page.keyboard.press("Escape");
  });

  await check("a rejected message is found, and one reads why; hostile bodies and headers stay text", async () => {
    for (const payload of PAYLOADS) await world.send(payload, { note: payload, type: payload });
    await world.send(JSON.stringify({ type: PAYLOADS[0], hello: PAYLOADS[1] }), { note: PAYLOADS[0] });
    await until("the rejections", async () => {
      const metrics = await (await fetch(`${world.url}/snapshot`)).json();
      return metrics.totals.rejected === PAYLOADS.length;
    });
    await open(page, "Rejected");
    await page.getByRole("button", { name: "Read again" }).click();
    const region = page.getByRole("region", { name: "Rejected messages" });
    await until("the messages", async () => { await page.getByRole("button", { name: "Read again" }).click(); return (await region.getByRole("row").count()) === PAYLOADS.length + 1; });
    await region.getByRole("button").first().click();
    await page.getByRole("dialog").getByText("body_not_json").first().waitFor();
    await page.getByText(/covered: text/).first().waitFor();
    await page.getByRole("button", { name: "Uncover (audited)" }).click();
    await page.getByText("Shown as it was sent; the audit log has your name.").waitFor();
    assert.ok(PAYLOADS.includes(await page.getByLabel("Body", { exact: true }).innerText()));
    for (const form of ["raw", "hex"]) await page.getByRole("button", { name: form, exact: true }).click();
    assert.equal(await page.locator("main img, [role=dialog] img, [role=dialog] script").count(), 0);
    await page.getByRole("button", { name: "Close" }).click();
    await open(page, "Types");
    await page.waitForTimeout(1_500);
    await open(page, "Access");
    await page.getByRole("cell", { name: "rejected_uncover" }).first().waitFor();
  });

  await check("a sample shows records as they come, covered", async () => {
    await open(page, "Live tail");
    await page.getByRole("button", { name: "Start sampling" }).click();
    await page.getByText("; sampling").waitFor();
    await page.waitForTimeout(2_500);
    await world.send(JSON.stringify({ secret: PAYLOADS[1] }));
    const row = page.locator(".tail-row").first();
    await row.waitFor();
    assert.ok(!(await row.innerText()).includes("alert"));
    await row.click();
    await page.getByRole("dialog").getByText("Covered values keep their kind.").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "Stop", exact: true }).click();
  });

  await check("a configuration is validated, compared, applied and rolled back; what is wrong is pointed at", async () => {
    await open(page, "Configuration");
    const editor = page.getByLabel("Configuration as TOML");
    await editor.waitFor();
    const before = await editor.inputValue();
    const linger = /linger = "([^"]+)"/.exec(before);
    assert.ok(linger, "the text has every key");
    await editor.fill(before.replace(linger[0], 'linger = "nonsense"'));
    await page.getByRole("button", { name: "Go to it" }).first().waitFor();
    assert.ok(await page.getByRole("button", { name: "Apply…" }).isDisabled());
    await editor.fill(before.replace(linger[0], 'linger = "17ms"'));
    await page.getByText("It could run.").waitFor();
    await page.getByRole("rowheader", { name: "pipeline.orders.kafka.linger" }).waitFor();
    const isHot = await page.getByText("at once").first().isVisible();
    if (isHot) {
      await applyAndRollBack(page, editor);
    } else {
      // A producer's own settings need a restart; the limits of a pipeline do not.
      await page.getByText("needs a restart").waitFor();
      await editor.fill(limited(before));
      await page.getByText("It could run.").waitFor();
      await applyAndRollBack(page, editor);
    }
    assert.equal(await editor.inputValue(), before);
  });

  await check("a change that somebody else has overtaken is refused", async () => {
    await open(page, "Configuration");
    const editor = page.getByLabel("Configuration as TOML");
    const before = await editor.inputValue();
    await editor.fill(limited(before, 50));
    await page.getByText("It could run.").waitFor();
    const token = (await (await fetch(`${world.url}/api/v1/login`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name: "ada", password: PASSWORD }) })).json()).access_token;
    const now = await fetch(`${world.url}/api/v1/config`, { headers: { authorization: `Bearer ${token}` } });
    const put = await fetch(`${world.url}/api/v1/config`, {
      method: "PUT", headers: { authorization: `Bearer ${token}`, "content-type": "application/json", "if-match": now.headers.get("etag") },
      body: JSON.stringify({ toml: limited((await now.json()).toml, 70), comment: "somebody else" }),
    });
    assert.equal(put.status, 200);
    await page.getByRole("button", { name: "Apply…" }).click();
    await page.getByRole("button", { name: "Apply", exact: true }).click();
    await page.getByRole("dialog").getByText("precondition_failed").waitFor();
    await page.getByRole("button", { name: "Cancel" }).click();
    // What one has typed is still there, and one may go on from it.
    await page.getByText(/has come into force since you began/).waitFor();
    assert.equal(await editor.inputValue(), limited(before, 50));
    await page.getByRole("button", { name: "Take it, drop my text" }).click();
    assert.match(await editor.inputValue(), /messages_per_s = 70/);
  });

  await check("a pipeline is added beside the one that runs, and removed by its typed name", async () => {
    await open(page, "Pipelines");
    await page.getByRole("button", { name: "Add a pipeline" }).click();
    await page.getByLabel("Name", { exact: true }).fill("second");
    await page.getByLabel("Queue URL").fill(world.queue);
    await page.getByLabel(/Brokers/).fill(world.bootstrap);
    await page.getByLabel("Topic", { exact: true }).fill("orders");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    const panel = page.locator(".panel", { has: page.getByRole("heading", { name: "second", exact: true }) });
    await panel.locator(".chip", { hasText: "running" }).waitFor({ timeout: 60_000 });
    await panel.getByRole("button", { name: "Remove" }).click();
    assert.ok(await page.getByRole("dialog").getByRole("button", { name: "Remove" }).isDisabled());
    await page.getByLabel(/Type second/).fill("second");
    await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
    await panel.locator(".chip", { hasText: /draining|stopped/ }).waitFor();
    await until("the pipeline to be gone", async () => (await panel.count()) === 0, 60);
  });

  await check("a backup is taken and brought back after a look at what would change", async () => {
    await open(page, "Configuration");
    await page.getByRole("button", { name: "Back up now" }).click();
    // Not the one that is taken at the start, when there were no users yet.
    const name = /millrace-\S+\.db/.exec(await page.getByRole("status").filter({ hasText: /^millrace-/ }).innerText())[0];
    await page.getByRole("row", { name }).getByRole("button", { name: "Restore…" }).click();
    await page.getByRole("button", { name: "Show what would change" }).click();
    await page.getByRole("rowheader", { name: "users" }).waitFor();
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    // Every session has ended: what one has read goes, and one signs in again.
    await page.getByText(/The backup is back/).waitFor();
    await signIn(page, world.url, "ada", PASSWORD);
  });

  await check("the broker stops: the breaker opens and the page says so; it goes on: the page is well again", async () => {
    await open(page, "Overview");
    world.broker.child.kill("SIGSTOP");
    for (let count = 0; count < 20; count += 1) await world.send(JSON.stringify({ count }));
    await page.getByText(/Pipeline orders is broken and receives nothing/).waitFor({ timeout: 60_000 });
    await page.getByText("Receiving has stopped because Kafka or SQS refuses.").first().waitFor({ timeout: 30_000 });
    await open(page, "Alerts");
    await page.locator(".notice.bad .chip", { hasText: "firing" }).first().waitFor({ timeout: 120_000 });
    world.broker.child.kill("SIGCONT");
    await until("running again", async () => (await page.getByText(/Pipeline orders is broken/).count()) === 0, 90);
    await page.locator(".notice.good .chip", { hasText: "resolved" }).first().waitFor({ timeout: 120_000 });
    await page.getByText("✓ adds up").waitFor();
  });

  await check("the appliance ends: the page says how old its figures are, and how to try again", async () => {
    await page.locator(".strip .chip", { hasText: "running" }).waitFor();
    await stop(world.program, "SIGKILL");
    await page.getByText(/No figures for/).waitFor({ timeout: 40_000 });
    await page.getByRole("button", { name: "Retry now" }).click();
  });
  await page.context().close();
  await world.end();
}

/** The text with a limit of the pipeline's rate. */
function limited(toml, messages = 90) {
  const lines = toml.split("\n").filter((line) => !/^\s*(rate\.)?messages_per_s\s*=/.test(line));
  const at = lines.findIndex((line) => /^\[pipeline\.rate\]/.test(line.trim()));
  if (at >= 0) lines.splice(at + 1, 0, `messages_per_s = ${messages}`);
  else lines.push("[pipeline.rate]", `messages_per_s = ${messages}`);
  return lines.join("\n");
}

async function applyAndRollBack(page, editor) {
  await page.getByRole("button", { name: "Apply…" }).click();
  await page.getByLabel("Why, for the history").fill("a walk");
  await page.getByRole("button", { name: "Apply", exact: true }).click();
  await page.getByText(/is in force on 1 of 1 shards/).or(page.getByText("TOML, epoch 1")).first().waitFor();
  if (await page.getByRole("button", { name: "Done" }).isVisible()) await page.getByRole("button", { name: "Done" }).click();
  await page.getByRole("cell", { name: "a walk" }).waitFor();
  await page.getByRole("button", { name: "Open version 1", exact: true }).click();
  await page.getByRole("button", { name: "Compare with what is in force" }).click();
  await page.getByRole("button", { name: "Roll back to it" }).click();
  await page.getByRole("cell", { name: /rollback/ }).first().waitFor();
  await editor.waitFor();
}
