/**
 * The live stream: one for all tabs of this browser. A tab that holds the lock reads it and passes it on; when that tab
 * closes, another takes over. Browsers allow six connections to a host, and a wall of screens has more tabs.
 */

import { openStream, type Body } from "./client";
import { asProblem, isRecord, type ApiProblem } from "./problem";
import { session, tabLocks } from "./session";
import { readEvents, type ServerEvent } from "./sse";
import { createFigures } from "./store";

export type Instance = Body<"Instance">;
export type Pipeline = Body<"Pipeline">;
export type Shards = Body<"Shards">;

export interface Live {
  /** The one that answers, or the data plane that is looked at. */
  readonly instance: Instance | null;
  /** All data planes. */
  readonly instances: readonly Instance[];
  readonly pipelines: readonly Pipeline[];
  readonly shards: Shards | null;
  /** Wall clock of the last event; 0 before the first. */
  readonly atMs: number;
  readonly problem: ApiProblem | null;
}

const NOTHING: Live = { instance: null, instances: [], pipelines: [], shards: null, atMs: 0, problem: null };

export const live = createFigures<Live>(NOTHING);

/** The data plane whose figures stand in the store; the sum of all when it is null. */
let chosen: string | null = null;

const TOPICS = "instance,instances,pipelines,shards";
/** A stream that says nothing for so long is dead: the server sends events each second, and comments on silence. */
const SILENT_MS = 20_000;
const BACKOFF_MS = [500, 1_000, 2_000, 4_000, 8_000];

/** What every event of a topic must have, so that no page meets a surprise. */
function fits(topic: string, content: unknown): boolean {
  if (topic === "pipelines") {
    return Array.isArray(content) && content.every((one) => isRecord(one) && typeof one["name"] === "string" && isRecord(one["totals"]));
  }
  if (topic === "instances") return isRecord(content) && Array.isArray(content["items"]) && content["items"].every((one) => isRecord(one) && typeof one["name"] === "string");
  if (topic === "shards") return isRecord(content) && Array.isArray(content["items"]) && Array.isArray(content["threads"]);
  return topic === "instance" && isRecord(content) && typeof content["name"] === "string";
}

/** Takes an event into the store. */
export function take(event: Pick<ServerEvent, "event" | "data">, nowMs: number): void {
  let content: unknown;
  try { content = JSON.parse(event.data); } catch { return; }
  if (!fits(event.event, content)) return;
  if (event.event === "instances") {
    const { items } = content as Body<"Instances">;
    live.update((value) => ({ ...value, instances: items, instance: items.find((one) => one.name === chosen) ?? value.instance }));
  } else if (chosen === null) {
    live.update((value) => ({ ...value, [event.event]: content, atMs: nowMs, problem: null }));
  }
}

/** Chooses whose figures are taken; those of another are gone at once, so that none is read under a wrong name. */
export function chooseInstance(name: string | null): void {
  if (name === chosen) return;
  chosen = name;
  live.update((value) => ({ ...NOTHING, instances: value.instances, instance: value.instances.find((one) => one.name === name) ?? null }));
}

/** Takes the figures of one data plane, if it is still the one that is looked at. */
export function takeOfInstance(name: string, pipelines: readonly Pipeline[], shards: Shards, nowMs: number): void {
  if (name === chosen) live.update((value) => ({ ...value, pipelines, shards, atMs: nowMs, problem: null }));
}

class Stream {
  private readonly stop = new AbortController();
  private readonly channel: BroadcastChannel | null;
  private last = "";
  private failures = 0;
  private wake: (() => void) | null = null;

  constructor(private readonly who: string) {
    this.channel = "BroadcastChannel" in globalThis ? new BroadcastChannel(`millrace.live.${who}`) : null;
    this.channel?.addEventListener("message", (message: MessageEvent<ServerEvent>) => take(message.data, Date.now()));
  }

  /** Reads, or waits until it is this tab's turn to read. */
  async run(): Promise<void> {
    const locks = tabLocks();
    if (locks === null) return this.read();
    await locks
      .request(`millrace.live.${this.who}`, { signal: this.stop.signal }, () => this.read())
      .catch(() => undefined);
  }

  end(): void {
    this.stop.abort();
    this.channel?.close();
    this.wake?.();
  }

  /** Tries at once instead of waiting. */
  retry(): void {
    this.failures = 0;
    this.wake?.();
  }

  private async read(): Promise<void> {
    while (!this.stop.signal.aborted) {
      try {
        await this.once();
        this.failures = 0;
      } catch (error) {
        if (this.isStopped()) return;
        live.update((value) => ({ ...value, problem: asProblem(error) }));
        const wait = BACKOFF_MS[Math.min(this.failures, BACKOFF_MS.length - 1)] ?? 8_000;
        this.failures += 1;
        await this.pause(wait * (0.5 + Math.random() / 2));
      }
    }
  }

  private isStopped(): boolean {
    return this.stop.signal.aborted;
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.wake = () => { clearTimeout(timer); resolve(); };
    });
  }

  private async once(): Promise<void> {
    const attempt = new AbortController();
    const abort = () => attempt.abort();
    this.stop.signal.addEventListener("abort", abort);
    let dead = setTimeout(abort, SILENT_MS);
    try {
      const headers: Record<string, string> = this.last === "" ? {} : { "last-event-id": this.last };
      const body = await openStream(`/api/v1/live?topics=${TOPICS}`, { headers, signal: attempt.signal });
      const alive = () => { clearTimeout(dead); dead = setTimeout(abort, SILENT_MS); };
      await readEvents(body, (event) => {
        if (event.id !== "") this.last = event.id;
        take(event, Date.now());
        this.channel?.postMessage(event);
      }, alive);
    } finally {
      clearTimeout(dead);
      this.stop.signal.removeEventListener("abort", abort);
    }
  }
}

let stream: Stream | null = null;

/** Streams while somebody is signed in. */
export function followSession(): void {
  const follow = () => {
    const now = session.get();
    if (now.state === "signed-in" && stream === null) {
      stream = new Stream(now.me.name);
      void stream.run();
    } else if (now.state === "signed-out" && stream !== null) {
      stream.end();
      stream = null;
      live.set(NOTHING);
    }
  };
  session.subscribe(follow);
  follow();
}

export function retryNow(): void {
  stream?.retry();
}
