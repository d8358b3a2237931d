// Asks for new closes, faults and log lines. They are kept when the page changes.

import { useState } from "preact/hooks";
import { NONE, merge, query } from "./events";
import type { Recent } from "./events";
import { usePoll } from "./poll";
import type { EventPage } from "./types";

/** The most events of a request, which is the most that the server allows. */
const LIMIT = 1000;

let kept: Recent = NONE;

export function useRecent() {
  const [recent, setRecent] = useState(kept);
  const add = (page: EventPage) => {
    kept = merge(kept, page);
    setRecent(kept);
  };
  const { error } = usePoll<EventPage>("/events", 2000, add, () => query(kept, LIMIT));
  return { events: recent.events, error };
}
