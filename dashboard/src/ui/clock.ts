/** The time as pages see it, and whether figures have become too old by it. */

import { useSyncExternalStore } from "react";

import { live } from "../api/live";
import { createFigures, useStore, type Store } from "../api/store";
import { STALE_MS } from "./figures";

const moment = createFigures(Date.now());
let lookers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

/** The time, once a second: ages grow although nothing arrives. It stands still while nobody looks. */
const now: Store<number> = {
  ...moment,
  subscribe: (listener) => {
    const leave = moment.subscribe(listener);
    lookers += 1;
    if (lookers === 1) {
      moment.set(Date.now());
      timer = setInterval(() => moment.set(Date.now()), 1_000);
    }
    return () => {
      leave();
      lookers -= 1;
      if (lookers === 0) clearInterval(timer);
    };
  },
};

export function useNow(): number {
  return useStore(now);
}

function followBoth(listener: () => void): () => void {
  const [clock, figures] = [now.subscribe(listener), live.subscribe(listener)];
  return () => { clock(); figures(); };
}

/** Whether what is drawn is too old to act upon; draws only when that changes. */
export function useStale(): boolean {
  return useSyncExternalStore(followBoth, () => live.get().atMs !== 0 && now.get() - live.get().atMs > STALE_MS);
}
