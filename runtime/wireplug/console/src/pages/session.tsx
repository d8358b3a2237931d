// One session: what is known of it, its live trace, and the kick.

import { path, save, send } from "../api";
import { duration } from "../format";
import { usePoll } from "../poll";
import { link } from "../route";
import { Facts, Problem, Title, useChange } from "../ui";
import type { Question } from "../ui";
import type { Role, Session } from "../types";
import { Trace } from "./trace";

export function SessionPage({ id, may }: { id: string; may: Role[] }) {
  const { value: session, error, refresh } = usePoll<Session>(path("sessions", id), 3000);
  const change = useChange(refresh);
  const saveLast = () =>
    save(path("sessions", id, "recent.vectors"), `session-${id}.vectors`).then(
      () => change.say("The last packets are saved as test vectors."),
      (error: unknown) => change.say(error instanceof Error ? error.message : String(error)),
    );
  return (
    <>
      <Title name={`Session ${id}`}>
        <div class="buttons">
          <button type="button" onClick={saveLast}>
            Save the last packets
          </button>
          {may.includes("admin") && (
            <button type="button" class="danger" onClick={() => change.ask(kick(id, session))}>
              Kick…
            </button>
          )}
          <a href={link("sessions")}>All sessions</a>
        </div>
      </Title>
      {change.view}
      {error?.status === 404 ? (
        <p class="note" role="status">
          {session ? "The session has ended." : error.message}
        </p>
      ) : (
        <Problem error={error} what="sessions (GET /sessions)" />
      )}
      {session && <About session={session} />}
      <Trace id={id} />
    </>
  );
}

function kick(id: string, session: Session | null): Question {
  return {
    title: `Kick session ${id}?`,
    text: `The server closes the connection of ${session?.user ?? session?.peer ?? "the client"}.`,
    does: "Kick",
    isDangerous: true,
    fields: (
      <label>
        Reason, which the client may see
        <input name="reason" maxLength={200} />
      </label>
    ),
    run: async (fields) => {
      const reason = String(fields.get("reason") ?? "").trim();
      const query = reason ? `?${new URLSearchParams({ reason })}` : "";
      const answer = await send<{ kicked: number }>("DELETE", path("sessions", id) + query);
      return answer?.kicked ? "The session was kicked." : "The session had ended already.";
    },
  };
}

const KNOWN = new Set(["id", "user", "peer", "codec", "generation", "state", "opened-seconds", "idle-seconds", "groups"]);

function About({ session }: { session: Session }) {
  // The rest comes from the server as it is, with names for people.
  const more = Object.entries(session).filter(([name, value]) => !KNOWN.has(name) && value !== null);
  return (
    <Facts
      facts={[
        ["User", session.user ?? "–"],
        ["Peer", session.peer],
        ["Codec", `${session.codec}, generation ${session.generation}`],
        ["State", session.state],
        ["Open for", duration(session["opened-seconds"])],
        ["Idle for", duration(session["idle-seconds"])],
        ["Groups", session.groups?.join(", ") || "none"],
        ...more.map(([name, value]): [string, string] => [
          name.replaceAll("-", " "),
          typeof value === "object" ? JSON.stringify(value) : String(value),
        ]),
      ]}
    />
  );
}
