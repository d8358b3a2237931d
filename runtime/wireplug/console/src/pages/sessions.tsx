// The list of sessions, a page at a time.

import { useState } from "preact/hooks";
import { Pages, parse, print, query } from "../filters";
import { bytes, count, duration } from "../format";
import { usePoll } from "../poll";
import { link } from "../route";
import { Problem, Table, Title } from "../ui";
import type { Session, SessionPage } from "../types";

const LIMIT = 100;

export function Sessions({ search }: { search: string }) {
  const { filters, unknown } = parse(search);
  const address = `${link("sessions")}?search=${encodeURIComponent(print(filters))}`;
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const typed = String(new FormData(event.target as HTMLFormElement).get("search") ?? "");
    location.hash = `${link("sessions")}?search=${encodeURIComponent(typed)}`;
  };
  return (
    <>
      <Title name="Sessions">
        <form role="search" onSubmit={submit}>
          <input
            name="search"
            type="search"
            aria-label="Search"
            value={search}
            key={search}
            placeholder="ann, 10.0.0.7, codec:pomelo idle-over:5m"
            spellcheck={false}
          />
          <button type="submit">Search</button>
        </form>
      </Title>
      {unknown.length > 0 && (
        <p class="problem" role="alert">
          There is no filter {unknown.join(", ")}. Filters are user, address, codec, generation, listener, group,
          state and idle-over, as in <code>codec:pomelo</code>.
        </p>
      )}
      <List key={address} first={(after) => `/sessions?${query(filters, LIMIT, after)}`} />
    </>
  );
}

function List({ first }: { first: (after: string | number | null) => string }) {
  const [pages, setPages] = useState(Pages.first());
  const { value: page, error } = usePoll<SessionPage>(first(pages.after), 3000);
  const next = page?.next ?? null;
  return (
    <>
      <Problem error={error} what="a list of sessions (GET /sessions)" />
      {page && (
        <Table
          caption={`Sessions, page ${pages.number}`}
          rows={page.sessions}
          keyOf={(session) => session.id}
          empty="No session matches."
          columns={[
            { name: "Session", of: (session: Session) => <a href={link("sessions", session.id)}>{session.id}</a> },
            { name: "User", of: (session) => session.user ?? "–" },
            { name: "Peer", of: (session) => session.peer },
            { name: "Codec", of: (session) => `${session.codec} ${session.generation}` },
            { name: "State", of: (session) => <span class={`badge ${session.state}`}>{session.state}</span> },
            { name: "Open for", of: (session) => duration(session["opened-seconds"]), isNumber: true },
            { name: "Idle for", of: (session) => duration(session["idle-seconds"]), isNumber: true },
            {
              name: "In",
              of: (session) => `${count(session["packets-in"])} (${bytes(session["bytes-in"])})`,
              isNumber: true,
            },
            {
              name: "Out",
              of: (session) => `${count(session["packets-out"])} (${bytes(session["bytes-out"])})`,
              isNumber: true,
            },
          ]}
        />
      )}
      <div class="buttons">
        <button type="button" disabled={pages.number === 1} onClick={() => setPages(pages.back())}>
          Previous page
        </button>
        <button type="button" disabled={next === null} onClick={() => next !== null && setPages(pages.next(next))}>
          Next page
        </button>
      </div>
    </>
  );
}
