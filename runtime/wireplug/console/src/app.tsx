// The frame around the pages: who is logged in, and which page is shown.

import { useEffect, useState } from "preact/hooks";
import { Refused, get, onLoggedOut, send } from "./api";
import { Codecs } from "./pages/codecs";
import { Ends } from "./pages/ends";
import { Log } from "./pages/log";
import { Login } from "./pages/login";
import { Nodes } from "./pages/nodes";
import { Overview } from "./pages/overview";
import { SessionPage } from "./pages/session";
import { Sessions } from "./pages/sessions";
import { link, parse } from "./route";
import type { Route } from "./route";
import type { LoggedIn, Role } from "./types";

const PAGES = [
  { page: "overview", name: "Overview" },
  { page: "codecs", name: "Codecs" },
  { page: "sessions", name: "Sessions" },
  { page: "nodes", name: "Nodes" },
  { page: "ends", name: "Closes and faults" },
  { page: "log", name: "Log" },
];

export function App() {
  const [who, setWho] = useState<LoggedIn | null>(null);
  const [isKnown, setKnown] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [route, setRoute] = useState(() => parse(location.hash));

  useEffect(() => {
    const moved = () => setRoute(parse(location.hash));
    addEventListener("hashchange", moved);
    get<LoggedIn>("/console/session")
      .then(setWho)
      .catch((error: unknown) => {
        if (!(error instanceof Refused && error.status === 401)) setProblem(String(error));
      })
      .finally(() => setKnown(true));
    return () => removeEventListener("hashchange", moved);
  }, []);

  // A page that is loaded anew shows nothing of before: the server may have been started again,
  // and may have another console.
  useEffect(() => onLoggedOut(who ? () => location.reload() : () => {}), [who]);

  if (!isKnown) return <p class="note">Loading…</p>;
  if (!who) return <Login problem={problem} done={setWho} />;

  const logOut = async () => {
    await send("POST", "/console/logout").catch(() => null);
    location.reload();
  };
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header>
        <a class="brand" href={link("overview")}>
          wireplug
        </a>
        <nav aria-label="Pages">
          {PAGES.map(({ page, name }) => (
            <a href={link(page)} aria-current={route.page === page ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <span class="who">
          {who.name} ({who.roles.join(", ")})
        </span>
        <button type="button" onClick={logOut}>
          Log out
        </button>
      </header>
      <main id="main" tabIndex={-1}>
        <Page route={route} may={who.may} />
      </main>
    </>
  );
}

/** Moves the focus. The address is that of the page, so it cannot name a place in it. */
function skip(event: Event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Page({ route, may }: { route: Route; may: Role[] }) {
  const [first] = route.rest;
  switch (route.page) {
    case "codecs":
      return <Codecs may={may} />;
    case "sessions":
      return first === undefined ? (
        <Sessions search={route.query.get("search") ?? ""} />
      ) : (
        <SessionPage id={first} may={may} key={first} />
      );
    case "nodes":
      return <Nodes />;
    case "ends":
      return <Ends />;
    case "log":
      return <Log />;
    default:
      return <Overview />;
  }
}
