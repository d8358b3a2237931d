// The live trace of a session: packets beside what they became.

import { useEffect, useRef, useState } from "preact/hooks";
import { ask, saveText } from "../api";
import { bytes, count, dump, micros } from "../format";
import { Lines, NOTHING, became, contains, direction, keep, since } from "../trace";
import type { Kept } from "../trace";
import type { TraceRecord } from "../types";

export function Trace({ id }: { id: string }) {
  const [kept, setKept] = useState<Kept>(NOTHING);
  const [state, setState] = useState("The trace is off.");
  const [search, setSearch] = useState("");
  const running = useRef<AbortController | null>(null);
  const [isOn, setOn] = useState(false);

  useEffect(() => () => running.current?.abort(), []);

  const stop = () => running.current?.abort();
  const start = async () => {
    const abort = new AbortController();
    running.current = abort;
    setKept(NOTHING);
    setOn(true);
    setState("The trace begins.");
    try {
      const response = await ask(`/trace?${new URLSearchParams({ session: id })}`, { signal: abort.signal });
      setState("The trace is on. The audit log has an entry, because it shows a client's data.");
      await read(response, (records) => setKept((kept) => keep(kept, records)));
      setState("The trace has ended.");
    } catch (error) {
      if (abort.signal.aborted) setState("The trace is off.");
      else setState(error instanceof Error ? error.message : String(error));
    } finally {
      setOn(false);
    }
  };
  const saveVectors = async () => {
    setState("The session is recorded as test vectors for 10 s…");
    try {
      const query = new URLSearchParams({ session: id, duration: "10s" });
      saveText(await (await ask(`/trace/vectors?${query}`)).blob(), `trace-${id}.vectors`);
      setState("The test vectors are saved.");
    } catch (error) {
      setState(error instanceof Error ? error.message : String(error));
    }
  };

  const [first] = kept.records;
  const shown = kept.records.filter((record) => contains(record, search));
  return (
    <section aria-label="Trace">
      <div class="title">
        <h2>Trace</h2>
        <div class="buttons">
          {isOn ? (
            <button type="button" onClick={stop}>
              Stop the trace
            </button>
          ) : (
            <button type="button" class="primary" onClick={start}>
              Start the trace
            </button>
          )}
          <button type="button" onClick={saveVectors}>
            Record vectors for 10 s
          </button>
          <input
            type="search"
            aria-label="Search the trace"
            placeholder="Search the trace"
            value={search}
            onInput={(event) => setSearch(event.currentTarget.value)}
          />
        </div>
      </div>
      <p class="note" role="status">
        {state}
        {kept.dropped > 0 && ` ${count(kept.dropped)} older records are no longer shown.`}
      </p>
      <ol class="trace">
        {shown.map((record) => (
          <Record record={record} first={first} />
        ))}
      </ol>
    </section>
  );
}

async function read(response: Response, add: (records: TraceRecord[]) => void): Promise<void> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  const lines = new Lines();
  for (;;) {
    const { done, value } = await reader.read();
    const records = done ? lines.end() : lines.push(value);
    if (records.length > 0) add(records);
    if (done) return;
  }
}

function Record({ record, first }: { record: TraceRecord; first: TraceRecord | undefined }) {
  const events = became(record);
  return (
    <li class={record.direction}>
      <div class="head">
        <b>{direction(record)}</b> <span>{since(record, first)}</span>
        {record.size != null && <span>{bytes(record.size)}</span>}
        {record["codec-us"] != null && <span>codec {micros(record["codec-us"])}</span>}
        {record.fuel != null && <span>fuel {count(record.fuel)}</span>}
      </div>
      <div class="both">
        {record.hex && (
          <pre class="bytes">
            {dump(record.hex).map((line) => (
              <>
                <i>{line.offset}</i> {line.hex.padEnd(47)} {line.text}
                {"\n"}
              </>
            ))}
          </pre>
        )}
        <div class="became">
          {events.map((event) => (
            <pre>{event}</pre>
          ))}
          {events.length === 0 && record.text && !record.hex && <pre>{record.text}</pre>}
          {record.note && <p>{record.note}</p>}
        </div>
      </div>
    </li>
  );
}
