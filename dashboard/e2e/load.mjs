// As many messages as the pump takes behind it, for some minutes: the heap stays flat, the main thread free.
import { strict as assert } from "node:assert";
import { readFile } from "node:fs/promises";
import { cpus, loadavg } from "node:os";

import { signIn, watched } from "./browser.mjs";
import { makeUsers, PASSWORD } from "./demo.mjs";
import { demo } from "./world.mjs";

const MINUTES = Number(process.env.LOAD_MINUTES ?? 10);
const HEAP_GROWTH_MAX = 1.3;
const BUSY_MAX = 0.1;
const TASK_MS_MAX = 100;
/** How often the page's CPU is looked at. */
const LOOK_MS = 250;
/** USER_HZ, the same on every Linux. Source: proc_pid_stat(5). */
const TICKS_PER_S = 100;

/** The last that was known of each process. */
const known = new Map();

/** CPU seconds of a process so far, by the kernel: asking the browser for them would be work of the browser. */
async function cpuOf(pid) {
  try {
    const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1].split(" ");
    known.set(pid, (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S);
  } catch {
    // It has ended and takes no more.
  }
  return known.get(pid) ?? 0;
}

/** The same of several together. */
async function cpuOfAll(pids) {
  return (await Promise.all(pids.map(cpuOf))).reduce((sum, seconds) => sum + seconds, 0);
}

export async function walk(browser, check) {
  const world = await demo(["--rate", process.env.LOAD_RATE ?? "max"]);
  await makeUsers(world);
  const page = await watched(browser, world.url);
  await check(`${MINUTES} minutes under load: heap flat, at most a tenth of a core, no long task`, async () => {
    await signIn(page, world.url, "ada", PASSWORD);
    await page.waitForTimeout(15_000);
    await page.evaluate(() => {
      window.longTasks = [];
      new PerformanceObserver((list) => { for (const entry of list.getEntries()) window.longTasks.push(entry.duration); }).observe({ type: "longtask" });
    });
    const session = await page.context().newCDPSession(page);
    const whole = await browser.newBrowserCDPSession();
    const { processInfo } = await whole.send("SystemInfo.getProcessInfo");
    const all = new Set();
    const renderers = processInfo.filter((one) => one.type === "renderer").map((one) => one.id);
    await session.send("Performance.enable");
    const figures = async () => {
      await session.send("HeapProfiler.collectGarbage");
      const { metrics } = await session.send("Performance.getMetrics");
      for (const one of (await whole.send("SystemInfo.getProcessInfo")).processInfo) all.add(one.id);
      const { totals } = await (await fetch(`${world.url}/snapshot`)).json();
      return { heap: metrics.find((metric) => metric.name === "JSHeapUsedSize").value, cpu: await cpuOfAll([...all]), delivered: totals.delivered, at: Date.now() };
    };
    // Ten minutes of seconds fill the rings; what grows after that is a leak.
    const first = await figures();
    let [before, lastTaken, most] = [await cpuOfAll(renderers), 0, 0];
    for (const end = Date.now() + MINUTES * 60_000; Date.now() < end;) {
      await page.waitForTimeout(LOOK_MS);
      const taken = await cpuOfAll(renderers);
      // A task may begin in one look and end in the next.
      most = Math.max(most, lastTaken + taken - before);
      [before, lastTaken] = [taken, taken - before];
    }
    const last = await figures();
    const seconds = (last.at - first.at) / 1_000;
    const busy = (last.cpu - first.cpu) / seconds;
    const tasks = await page.evaluate(() => window.longTasks);
    const longest = Math.max(0, ...tasks);
    console.log(`        heap ${(first.heap / 1e6).toFixed(1)} MB, then ${(last.heap / 1e6).toFixed(1)} MB; the browser took ${(busy * 100).toFixed(1)} % of a core, its page at most ${(most * 1_000).toFixed(0)} ms of it in ${2 * LOOK_MS} ms`);
    console.log(`        longest task ${longest.toFixed(0)} ms by the clock, ${tasks.filter((task) => task >= TASK_MS_MAX).length} of ${TASK_MS_MAX} ms or more`);
    console.log(`        behind it ${Math.round((last.delivered - first.delivered) / seconds)} messages/s; load of the machine ${loadavg().map((load) => load.toFixed(1)).join(", ")} on ${cpus().length} cores`);
    assert.ok(last.heap < first.heap * HEAP_GROWTH_MAX + 4e6, "the heap has grown");
    assert.ok(busy < BUSY_MAX, "the browser takes more than a tenth of a core");
    // A task that waited for a core is long by the clock and is none of the page's: the page had no such CPU at the time.
    assert.ok(longest < TASK_MS_MAX || most * 1_000 < TASK_MS_MAX, "a task was long");
  });
  await page.context().close();
  await world.end();
}
