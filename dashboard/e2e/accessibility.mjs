// Every screen in every theme: what axe finds; at three widths: how it looks, kept as pictures.
import { strict as assert } from "node:assert";
import { mkdirSync } from "node:fs";

import { signIn, violations, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { SCREENS } from "./screens.mjs";
import { demo } from "./world.mjs";

/** Pictures that are kept, and their widths: the rest are looked at and thrown away. */
const KEPT = { "": [390, 1280, 1920], latency: [390, 1280], heatmap: [1280], waterfall: [1280], shards: [1280], queues: [1280], pipelines: [1280], config: [1280] };
const folder = process.env.SCREENSHOTS ?? new URL("../../target/screenshots/", import.meta.url).pathname;
const HEIGHT = { 390: 844, 1280: 800, 1920: 1080 };

async function show(page, url, screen, title) {
  await page.goto(`${url}/ui/${screen}${screen === "heatmap" || screen === "latency" ? "?span=60" : ""}`);
  await page.getByRole("heading", { level: 1, name: title }).waitFor();
  await page.waitForTimeout(900);
}

export async function walk(browser, check) {
  const world = await demo(["--rate", "1500"]);
  await makeUsers(world);
  mkdirSync(folder, { recursive: true });
  const page = await watched(browser, world.url);
  await check("axe finds nothing on the sign-in page", async () => {
    await page.goto(`${world.url}/ui/`);
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
    assert.deepEqual(await violations(page), []);
  });
  await signIn(page, world.url, "ada", PASSWORD);
  // Enough of a past for charts to have a shape.
  await page.waitForTimeout(25_000);
  for (const theme of ["light", "dark", "contrast"]) {
    await page.evaluate((name) => localStorage.setItem("millrace.theme", name), theme);
    for (const [screen, title] of SCREENS) {
      await check(`axe finds nothing on ${title}, ${theme}`, async () => {
        await show(page, world.url, screen, title);
        assert.deepEqual(await violations(page), []);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(wide <= 1, `the page is ${wide} px too wide`);
      });
    }
  }
  for (const theme of ["light", "dark"]) {
    await page.evaluate((name) => localStorage.setItem("millrace.theme", name), theme);
    for (const [screen, title] of SCREENS) {
      for (const width of [390, 1280, 1920]) {
        const isKept = (KEPT[screen] ?? []).includes(width) && (theme === "dark" || screen === "" || screen === "latency");
        if (!isKept && process.env.ALL_SCREENSHOTS === undefined) continue;
        await page.setViewportSize({ width, height: HEIGHT[width] });
        await show(page, world.url, screen, title);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        await check(`${title} fits ${width} px, ${theme}`, () => assert.ok(wide <= 1, `it is ${wide} px too wide`));
        await page.screenshot({ path: `${folder}/${screen === "" ? "overview" : screen}-${width}-${theme}.png`, fullPage: width === 390 });
      }
    }
  }
  await check("at 200 % zoom nothing is cut off", async () => {
    await page.setViewportSize({ width: 640, height: 400 });
    for (const [screen, title] of SCREENS) {
      await show(page, world.url, screen, title);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(wide <= 1, `${title} is ${wide} px too wide`);
    }
  });
  await page.context().close();
  await world.end();
}
