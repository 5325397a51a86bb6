// Names and texts that try to break out of the page, in every answer of the API: each screen shows them as text.
import { strict as assert } from "node:assert";

import { signIn, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { SCREENS } from "./screens.mjs";
import { demo } from "./world.mjs";

export const PAYLOADS = ["<img src=x onerror=alert(1)>", "\"><script>alert(2)</script>", "{{constructor.constructor('alert(3)')()}}", "javascript:alert(4)", "<svg/onload=alert(5)>"];
/** Keys whose values come from elsewhere: queues, brokers, messages, people. Words of a closed set stay as they are. */
const FOREIGN = new Set(["name", "url", "queue", "topic", "type", "reason", "reasons", "detail", "text", "comment", "note", "principal", "summary", "meaning", "cause", "host", "rack", "address", "user", "target", "value", "help", "title", "toml", "key", "group", "client_id", "path"]);

/** The same answer, with a payload wherever a foreign text stands. */
function poisoned(value, key = "", count = { n: 0 }) {
  if (Array.isArray(value)) return value.map((one) => poisoned(one, key, count));
  if (value !== null && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, poisoned(one, name, count)]));
  if (typeof value === "string" && FOREIGN.has(key)) return PAYLOADS[count.n++ % PAYLOADS.length];
  return value;
}

export async function walk(browser, check) {
  const world = await demo(["--rate", "200"]);
  await makeUsers(world);
  const page = await watched(browser, world.url);
  await signIn(page, world.url, "ada", PASSWORD);
  await page.route(/\/api\/v1\/(?!login|refresh|me$|live)/, async (route) => {
    if (route.request().method() !== "GET") return route.continue();
    const answer = await route.fetch().catch(() => null);
    if (answer === null) return route.abort();
    const body = await answer.json().catch(() => null);
    return body === null || !answer.ok() ? route.fulfill({ response: answer }) : route.fulfill({ response: answer, json: poisoned(body) });
  });
  let seen = 0;
  for (const [screen, title] of SCREENS) {
    await check(`hostile texts stay text on ${title}`, async () => {
      await page.goto(`${world.url}/ui/${screen}`);
      await page.getByRole("heading", { level: 1, name: title }).waitFor();
      await page.waitForTimeout(700);
      const found = await page.evaluate((payloads) => ({
        made: document.querySelectorAll("main img, main script, [onerror], [onload], a[href^='javascript:']").length,
        shown: payloads.filter((payload) => document.querySelector("main")?.textContent.includes(payload) || [...document.querySelectorAll("main textarea, main input")].some((field) => field.value.includes(payload))).length,
      }), PAYLOADS);
      assert.equal(found.made, 0);
      seen += found.shown > 0 ? 1 : 0;
    });
  }
  await check("hostile texts were there to be seen", () => assert.ok(seen >= 6, `on ${seen} screens only`));
  await page.unrouteAll({ behavior: "ignoreErrors" });
  await page.context().close();
  await world.end();
}
