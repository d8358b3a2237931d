// Recent closes and faults.

import { useState } from "preact/hooks";
import { save } from "../api";
import { backtrace, contains, isEnd } from "../events";
import { clock } from "../format";
import { usePoll } from "../poll";
import { useRecent } from "../recent";
import { Problem, Title } from "../ui";
import type { FaultPage, FaultSummary, ServerEvent } from "../types";

export function Ends() {
  const { events, error } = useRecent();
  // The faults of which the last packets may have been kept have numbers of their own.
  const { value: kept } = usePoll<FaultPage>("/faults", 3000);
  const faultOf = (event: ServerEvent) => kept?.faults.find((fault) => fault.session === event.session);
  const [search, setSearch] = useState("");
  const [kind, setKind] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const shown = events.filter((event) => isEnd(event) && (!kind || event.kind === kind) && contains(event, search));
  const saveVectors = (number: number) =>
    save(`/faults/${number}.vectors`, `fault-${number}.vectors`).then(
      () => setProblem(null),
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
  return (
    <>
      <Title name="Closes and faults">
        <label>
          Show
          <select value={kind} onChange={(event) => setKind(event.currentTarget.value)}>
            <option value="">closes and faults</option>
            <option value="close">closes</option>
            <option value="fault">faults</option>
          </select>
        </label>
        <input
          type="search"
          aria-label="Search"
          placeholder="Search"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      </Title>
      <Problem error={error} what="recent events (GET /events)" />
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {shown.length === 0 && !error && <p class="note">Nothing to show yet.</p>}
      <ol class="events">
        {shown.map((event) => (
          <End key={event.number} event={event} fault={faultOf(event)} save={saveVectors} />
        ))}
      </ol>
    </>
  );
}

function End({
  event,
  fault,
  save,
}: {
  event: ServerEvent;
  fault: FaultSummary | undefined;
  save: (number: number) => void;
}) {
  const trace = backtrace(event);
  return (
    <li class={event.kind}>
      <div class="head">
        <time>{clock(event.at)}</time> <span class={`badge ${event.kind}`}>{event.kind}</span>
        <b>{event.cause}</b>
        {event.session != null && <span>session {event.session}</span>}
        {event.peer && <span>{event.peer}</span>}
        {event.codec && (
          <span>
            codec {event.codec} {event.generation}
          </span>
        )}
      </div>
      {event.reason && <p>{event.reason}</p>}
      {event.message && event.message !== event.reason && <p>{event.message}</p>}
      {trace && (
        <details>
          <summary>Backtrace</summary>
          <pre>{trace}</pre>
        </details>
      )}
      {event.kind === "fault" && fault?.vectors && (
        <button type="button" onClick={() => save(fault.number)}>
          Save as vectors
        </button>
      )}
      {event.kind === "fault" && fault?.["no-vectors"] && (
        <p class="note">There are no test vectors of it: {fault["no-vectors"]}</p>
      )}
    </li>
  );
}
