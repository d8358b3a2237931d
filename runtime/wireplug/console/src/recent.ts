// Asks for new closes, faults and log lines. They are kept when the page changes.

import { useState } from "preact/hooks";
import { NONE, merge } from "./events";
import type { Recent } from "./events";
import { usePoll } from "./poll";
import type { EventPage } from "./types";

const LIMIT = 200;
let kept: Recent = NONE;

export function useRecent() {
  const [recent, setRecent] = useState(kept);
  const { error } = usePoll<EventPage>(`/events?after=${recent.after}&limit=${LIMIT}`, 2000, (page) => {
    const merged = merge(kept, page);
    if (merged.after !== kept.after || merged.events !== kept.events) {
      kept = merged;
      setRecent(kept);
    }
  });
  return { events: recent.events, error };
}
