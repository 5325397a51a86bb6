// Runs the walks one after the other in Debian's Chromium, against the real binary. Names of walks as arguments run these only.
import { faults, launch } from "./browser.mjs";
import { stopAll } from "./world.mjs";

const WALKS = ["demo", "accessibility", "hostile", "appliance", "chaos", "planes"];
/** Runs only when it is asked for: it takes minutes. */
const LONG = ["load"];
const wanted = process.argv.slice(2).filter((name) => !name.startsWith("-"));
const failed = [];
let passed = 0;

/** One claim. A walk goes on after one that fails. */
async function check(name, claim) {
  const began = Date.now();
  try {
    await claim();
    if (faults.length > 0) throw new Error(faults.splice(0).join("\n    "));
    passed += 1;
    console.log(`  ok    ${name} (${((Date.now() - began) / 1_000).toFixed(1)} s)`);
  } catch (error) {
    faults.length = 0;
    failed.push(name);
    console.log(`  FAIL  ${name}\n    ${error.stack ?? error}`);
  }
}

process.on("SIGINT", () => void stopAll().then(() => process.exit(130)));
const browser = await launch();
try {
  for (const name of wanted.length === 0 ? WALKS : [...WALKS, ...LONG].filter((walk) => wanted.includes(walk))) {
    console.log(name);
    try {
      const { walk } = await import(`./${name}.mjs`);
      await walk(browser, check);
    } catch (error) {
      failed.push(name);
      console.log(`  FAIL  ${name}: ${error.stack ?? error}`);
    }
    await stopAll();
  }
} finally {
  await browser.close();
  await stopAll();
}
console.log(`${passed} passed, ${failed.length} failed${failed.length > 0 ? `: ${failed.join("; ")}` : ""}`);
process.exit(failed.length > 0 ? 1 : 0);
