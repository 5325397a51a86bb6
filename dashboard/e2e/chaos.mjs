// The demo with faults: what goes wrong is on the first screen, and nothing is lost.
import { strict as assert } from "node:assert";

import { signIn, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { demo, until } from "./world.mjs";

export async function walk(browser, check) {
  const world = await demo(["--rate", "300", "--chaos", "produce-errors", "--chaos", "sqs-errors"]);
  await makeUsers(world);
  const page = await watched(browser, world.url);
  await check("with errors of Kafka and SQS the codes are counted, and the law holds", async () => {
    await signIn(page, world.url, "otto", PASSWORD);
    await page.goto(`${world.url}/ui/queues`);
    await page.getByRole("region", { name: "Errors of SQS" }).waitFor({ timeout: 60_000 });
    await page.goto(`${world.url}/ui/kafka`);
    const retries = async () => Number((await page.locator(".facts div").filter({ has: page.getByText("retries", { exact: true }) }).locator("dd").innerText()).replace(/\D/g, ""));
    await until("a retry", async () => (await retries()) > 0, 60);
    await page.getByText("✓ adds up").waitFor();
    assert.equal(await page.getByText("unaccounted").count(), 0);
  });
  await page.context().close();
  await world.end();
}
