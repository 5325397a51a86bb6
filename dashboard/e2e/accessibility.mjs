// Every screen in every theme: what axe finds; at every width: whether it fits; and pictures, when a folder for them is named.
import { strict as assert } from "node:assert";
import { mkdirSync } from "node:fs";

import { signIn, violations, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { SCREENS } from "./screens.mjs";
import { demo } from "./world.mjs";

const THEMES = ["light", "dark", "contrast"];
/** Width and height of windows; 640 is 1280 at 200 % of zoom. */
const WINDOWS = [[390, 844], [640, 400], [1280, 800], [1920, 1080]];
const USUAL = { width: 1280, height: 800 };
/** With `SCREENSHOTS=folder`, pictures of all screens go there. */
const folder = process.env.SCREENSHOTS;
const PICTURED = [390, 1280, 1920];
/** Seconds until charts have a shape. */
const PAST_S = 15;

async function theme(page, name) {
  await page.getByLabel("Theme").selectOption(name);
  await page.locator(`html[data-theme="${name}"]`).waitFor();
}

async function fits(page, title) {
  for (const [width, height] of WINDOWS) {
    await page.setViewportSize({ width, height });
    const wide = await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => resolve(document.documentElement.scrollWidth - window.innerWidth))));
    assert.ok(wide <= 1, `${title} is ${wide} px wider than a window of ${width} px`);
  }
  await page.setViewportSize(USUAL);
}

async function pictures(page, screen) {
  // What a cluster is asked for takes a moment. The room of a scrollbar is empty in a browser without one.
  await page.locator("main [aria-busy=true]").first().waitFor({ state: "detached" });
  await page.evaluate(() => { document.documentElement.style.scrollbarGutter = "auto"; });
  for (const [width, height] of WINDOWS.filter(([wide]) => PICTURED.includes(wide))) {
    await page.setViewportSize({ width, height });
    for (const name of ["light", "dark"]) {
      await theme(page, name);
      await page.waitForTimeout(400);
      await page.screenshot({ path: `${folder}/${screen === "" ? "overview" : screen}-${width}-${name}.png`, fullPage: width === 390 });
    }
  }
  await page.setViewportSize(USUAL);
}

export async function walk(browser, check) {
  const world = await demo(["--rate", "1500"]);
  await makeUsers(world);
  const page = await watched(browser, world.url);
  await check("axe finds nothing on the sign-in page", async () => {
    await page.goto(`${world.url}/ui/`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.deepEqual(await violations(page), []);
  });
  await signIn(page, world.url, "ada", PASSWORD);
  await page.waitForTimeout(PAST_S * 1_000);
  for (const [screen, title] of SCREENS) {
    await check(`axe finds nothing on ${title} in ${THEMES.length} themes, and it fits ${WINDOWS.length} widths`, async () => {
      await page.goto(`${world.url}/ui/${screen}?span=60`);
      await page.getByRole("heading", { level: 1, name: title }).waitFor();
      await page.waitForTimeout(700);
      for (const name of THEMES) {
        await theme(page, name);
        assert.deepEqual(await violations(page), [], name);
      }
      await fits(page, title);
      if (folder === undefined) return;
      mkdirSync(folder, { recursive: true });
      await pictures(page, screen);
    });
  }
  await page.context().close();
  await world.end();
}
