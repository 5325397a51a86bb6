/** A value outside of React that many look at. Samples live here, so that a new one draws a chart and not a page. */

import { useSyncExternalStore } from "react";

export interface Store<T> {
  readonly get: () => T;
  readonly set: (value: T) => void;
  readonly update: (change: (value: T) => T) => void;
  readonly subscribe: (listener: () => void) => () => void;
}

/** Figures that come one by one within this time draw one picture. */
const GATHER_MS = 40;
/** Least time between two pictures: each costs the layout and the painting of a page. */
const REST_MS = 900;

const waiting = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;
let toldMs = -Infinity;

function tellTogether(tell: () => void): void {
  waiting.add(tell);
  timer ??= setTimeout(tellAll, Math.max(GATHER_MS, toldMs + REST_MS - performance.now()));
}

function tellAll(): void {
  timer = undefined;
  toldMs = performance.now();
  const those = [...waiting];
  waiting.clear();
  for (const tell of those) tell();
}

/** A store whose listeners are told of a change together with those of all other such stores: once a second. */
export function createFigures<T>(initial: T): Store<T> {
  return storeOf(initial, tellTogether);
}

export function createStore<T>(initial: T): Store<T> {
  return storeOf(initial, (tell) => tell());
}

function storeOf<T>(initial: T, when: (tell: () => void) => void): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  const tell = () => { for (const listener of listeners) listener(); };
  const set = (next: T) => {
    if (Object.is(next, value)) return;
    value = next;
    when(tell);
  };
  return {
    get: () => value,
    set,
    update: (change) => set(change(value)),
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The present value, drawn again when it changes. */
export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

/** A part of it; the part must be the same object while nothing in it has changed. */
export function usePart<T, P>(store: Store<T>, part: (value: T) => P): P {
  return useSyncExternalStore(store.subscribe, () => part(store.get()));
}
