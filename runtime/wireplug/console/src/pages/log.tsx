// Recent lines of the log, at the level of warnings and above, and changes of codecs.

import { useState } from "preact/hooks";
import { contains, isEnd, sentence } from "../events";
import { clock } from "../format";
import { useRecent } from "../recent";
import { Problem, Table, Title } from "../ui";

export function Log() {
  const { events, error } = useRecent();
  const [search, setSearch] = useState("");
  return (
    <>
      <Title name="Log">
        <input
          type="search"
          aria-label="Search"
          placeholder="Search"
          value={search}
          onInput={(event) => setSearch(event.currentTarget.value)}
        />
      </Title>
      <Problem error={error} what="recent events (GET /events)" />
      <Table
        caption="Warnings, errors and changes"
        rows={events.filter((event) => !isEnd(event) && contains(event, search))}
        keyOf={(event) => event.number}
        empty="Nothing to show yet."
        columns={[
          { name: "Time", of: (event) => <time>{clock(event.at)}</time> },
          { name: "Kind", of: (event) => <Kind name={event.level ?? event.kind} /> },
          { name: "Message", of: sentence },
          { name: "Codec", of: (event) => event.codec ?? "–" },
          { name: "Session", of: (event) => event.session ?? "–" },
        ]}
      />
    </>
  );
}

const Kind = ({ name }: { name: string }) => <span class={`badge ${name}`}>{name}</span>;
