/** Series as React sees them: the latest value, or the one at which the drawing was paused. */

import { useCallback, useRef, useSyncExternalStore } from "react";

import { historyFeed, heatFeed, type Columns, type Feed, type Heat, type Subject } from "./series";

interface Looked<T> {
  readonly store: { readonly get: () => Feed<T> };
  readonly look: (listener: () => void) => () => void;
}

function useFeed<T>(feed: Looked<T>, isPaused: boolean): Feed<T> {
  const held = useRef<Feed<T> | null>(null);
  const read = useCallback(() => {
    // A paused picture is the one that was there when it was paused; of another subject there is none yet.
    if (!isPaused || held.current === null || held.current.value === null) held.current = feed.store.get();
    return held.current;
  }, [feed, isPaused]);
  return useSyncExternalStore(feed.look, read);
}

export function useHistory(subject: Subject, spanS: number, isPaused = false): Feed<Columns> {
  return useFeed(historyFeed(subject, spanS), isPaused);
}

export function useHeat(pipeline: string | null, stage: string, spanS: number, isPaused = false): Feed<Heat> {
  return useFeed(heatFeed(pipeline, stage, spanS), isPaused);
}
