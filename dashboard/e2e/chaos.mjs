// The demo with faults: what goes wrong is said on every screen, goes away by itself, and nothing is lost.
import { signIn, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { demo, until } from "./world.mjs";

export async function walk(browser, check) {
  const world = await demo(["--rate", "300", "--chaos", "sqs-errors"]);
  await makeUsers(world);
  const page = await watched(browser, world.url);
  await signIn(page, world.url, "otto", PASSWORD);
  await check("a fault of SQS stops receiving, the page says why, and it goes on by itself", async () => {
    const broken = page.getByText(/Pipeline demo is broken and receives nothing: .*InternalFailure/);
    await broken.first().waitFor({ timeout: 60_000 });
    await until("the pipeline to be well again", async () => (await broken.count()) === 0, 60);
  });
  await check("errors of SQS are counted by code, and the law holds", async () => {
    await page.goto(`${world.url}/ui/queues`);
    await page.getByRole("region", { name: "Errors of SQS" }).getByText(/InternalFailure/).first().waitFor();
    await page.getByText("✓ adds up").waitFor();
  });
  await page.context().close();
  await world.end();
}
