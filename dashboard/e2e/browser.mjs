// A browser that notes everything that must not happen: another host, a policy that is broken, an error, an alert.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { chromium } from "playwright-core";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What must not have happened by the end. */
export const faults = [];

export async function launch() {
  return chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** A page of its own context, watched. */
export async function watched(browser, base, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
  const page = await context.newPage();
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile ?? ""}:${event.lineNumber}`));
  });
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (!["blob:", "data:"].includes(url.protocol) && url.origin !== base) faults.push(`a request to another host: ${request.url()}`);
  });
  page.on("console", (message) => {
    if (/CSP violation|Content Security Policy|TrustedHTML|TrustedScript/.test(message.text())) faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(`an error on ${page.url()}: ${error.message}`));
  page.on("dialog", (dialog) => { faults.push(`a dialog: ${dialog.message()}`); void dialog.dismiss(); });
  page.setDefaultTimeout(20_000);
  return page;
}

/** What axe finds on the page, with the rules of WCAG 2.2 AA. */
export async function violations(page) {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return found.violations.flatMap((one) => one.nodes.map((node) => `${one.id} (${one.impact}): ${node.target.join(" ")}: ${node.failureSummary?.split("\n")[1]?.trim() ?? ""} ${node.html.slice(0, 160)}`));
}

/** Signs in by name. */
export async function signIn(page, url, name, password) {
  await page.goto(`${url}/ui/`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
  const refusal = page.getByRole("alert").first();
  await page.getByRole("heading", { name: "Overview", exact: true }).or(refusal).first().waitFor();
  if (await page.getByRole("heading", { name: "Sign in" }).isVisible()) throw new Error(`signing in as ${name}: ${await refusal.innerText()}`);
}

/** Opens a screen by the menu. */
export async function open(page, label) {
  await page.getByRole("navigation", { name: "Screens" }).getByRole("link", { name: label }).first().click();
}
