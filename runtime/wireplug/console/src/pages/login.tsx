// The login: a token of the control API.

import { useState } from "preact/hooks";
import { get, send } from "../api";
import { Title } from "../ui";
import type { LoggedIn } from "../types";

export function Login({ problem, done }: { problem: string | null; done: (who: LoggedIn) => void }) {
  const [refused, setRefused] = useState(problem);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    const token = String(new FormData(event.target as HTMLFormElement).get("token") ?? "").trim();
    try {
      await send("POST", "/console/login", JSON.stringify({ token }));
      done(await get<LoggedIn>("/console/session"));
    } catch (error) {
      setRefused(error instanceof Error ? error.message : String(error));
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <Title name="Log in" />
      <form onSubmit={submit}>
        <label>
          Token of the control API
          <input name="token" type="password" autocomplete="current-password" required spellcheck={false} />
        </label>
        <p class="note">
          The server prints the file of a generated token when it starts. Otherwise the token is in the file that{" "}
          <code>token-file</code> of <code>[control]</code> names.
        </p>
        {refused && (
          <p class="problem" role="alert">
            {refused}
          </p>
        )}
        <button type="submit" class="primary" disabled={isBusy}>
          Log in
        </button>
      </form>
    </main>
  );
}
