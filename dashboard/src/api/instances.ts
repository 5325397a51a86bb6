/**
 * One of several data planes. The live stream carries the sum of all that answer; of one, pipelines and shards are asked for
 * once a second and take the place of the sum. With one data plane there is nothing to choose, and nothing is asked.
 */

import { body, client } from "./client";
import { chooseInstance, live, takeOfInstance } from "./live";
import { asProblem } from "./problem";

const EVERY_MS = 1_000;

/** Looks at one data plane until the function that it answers with is called. */
export function lookAt(name: string): () => void {
  const stop = new AbortController();
  chooseInstance(name);
  void (async () => {
    while (!stop.signal.aborted) {
      await once(name, stop.signal).catch((error: unknown) => {
        if (!stop.signal.aborted) live.update((value) => ({ ...value, problem: asProblem(error) }));
      });
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  })();
  return () => { stop.abort(); chooseInstance(null); };
}

async function once(name: string, signal: AbortSignal): Promise<void> {
  const params = { params: { query: { instance: name } }, signal };
  const [pipelines, shards] = await Promise.all([body(client.GET("/api/v1/pipelines", params)), body(client.GET("/api/v1/shards", params))]);
  if (!signal.aborted) takeOfInstance(name, pipelines.items, shards, Date.now());
}
