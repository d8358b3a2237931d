// Asks again and again while a page is shown.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Refused, get } from "./api";

export interface Polled<T> {
  value: T | null;
  error: Refused | null;
  /** Asks at once, after a change. */
  refresh: () => void;
}

/**
 * Asks for a path every `interval` milliseconds, and pauses while nobody sees the page. An error
 * leaves the last value there. `query` is called for each request.
 */
export function usePoll<T>(
  path: string,
  interval: number,
  onValue?: (value: T) => void,
  query: () => string = () => "",
): Polled<T> {
  const [value, setValue] = useState<T | null>(null);
  const [error, setError] = useState<Refused | null>(null);
  const [turn, setTurn] = useState(0);
  const latest = useRef({ onValue, query });
  latest.current = { onValue, query };

  useEffect(() => setValue(null), [path]);

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const round = async () => {
      if (!document.hidden) {
        try {
          const answer = await get<T>(path + latest.current.query(), abort.signal);
          setValue(answer);
          setError(null);
          latest.current.onValue?.(answer);
        } catch (caught) {
          if (abort.signal.aborted) return;
          setError(caught instanceof Refused ? caught : new Refused(0, String(caught)));
        }
      }
      if (!abort.signal.aborted) timer = setTimeout(round, interval);
    };
    void round();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [path, interval, turn]);

  return { value, error, refresh: useCallback(() => setTurn((turn) => turn + 1), []) };
}
