// Two data planes under one control plane: one picture, a choice, an order to one of them, and one that dies.
import { strict as assert } from "node:assert";

import { open, signIn, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { planes, stop, until } from "./world.mjs";

export async function walk(browser, check) {
  const world = await planes(["left", "right"]);
  await makeUsers(world);
  const page = await watched(browser, world.url);
  await signIn(page, world.url, "ada", PASSWORD);

  await check("several data planes are one picture, and each can be looked at", async () => {
    const pick = page.getByLabel("Instance");
    await pick.waitFor();
    // Before a data plane has answered, its address is its name.
    await until("both names", async () => (await pick.locator("option").allInnerTexts()).map((text) => text.trim()).join() === "all 2,left,right");
    await open(page, "Shards");
    await page.getByText("2 of 2 answered").waitFor();
    await pick.selectOption("left");
    await page.getByText("1 of 1 answered").waitFor();
    await page.getByText(/Pipelines, shards and types are those of left/).waitFor();
    assert.match(page.url(), /instance=left/);
  });

  await check("an order goes to the one that is looked at", async () => {
    await open(page, "Pipelines");
    await page.getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByRole("dialog").getByText("On left only.").waitFor();
    await page.getByRole("dialog").getByRole("button", { name: "Pause", exact: true }).click();
    await page.getByText(/Pipeline orders is paused/).waitFor();
    await page.getByLabel("Instance").selectOption("right");
    await page.getByText(/Pipelines, shards and types are those of right/).waitFor();
    await until("the other one not to be paused", async () => (await page.locator(".panel .chip").first().isVisible()) && (await page.getByText(/Pipeline orders is paused/).count()) === 0);
  });

  await check("a data plane that dies is named, and counts in no sum", async () => {
    await page.getByLabel("Instance").selectOption("");
    await stop(world.members.get("left"), "SIGKILL");
    await page.getByText(/Data plane left does not answer.*1 of 2 data planes answer/).waitFor();
    await open(page, "Shards");
    // Which of the two has which number depends on who was attached first.
    await page.getByText(/Shard \d/).first().waitFor();
    await until("the tile of the dead one to be gone", async () => (await page.getByRole("button", { name: /^Details of shard/ }).count()) === 1);
    await page.getByText("✓ adds up").waitFor();
  });
  await page.context().close();
  await world.end();
}
