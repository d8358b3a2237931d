// Requests to the control API. The browser adds the cookie, and says where they come from.

/** The server refused a request, or could not be reached (status 0). */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }

  /** Whether this server does not have that part of the API. */
  get isMissing(): boolean {
    return this.status === 404 || this.status === 405;
  }
}

type Listener = () => void;
let loggedOut: Listener = () => {};

/** Says what happens when the session of the console is over. */
export function onLoggedOut(listener: Listener): void {
  loggedOut = listener;
}

export async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { cache: "no-store", redirect: "error", ...init });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Refused(0, "the server cannot be reached");
  }
  if (response.ok) return response;
  const text = await response.text();
  if (response.status === 401 && path !== "/console/login") loggedOut();
  throw new Refused(response.status, reason(text, response.status));
}

function reason(text: string, status: number): string {
  try {
    const answer = JSON.parse(text) as { error?: unknown };
    if (typeof answer.error === "string") return answer.error;
  } catch {
    // Another program may have answered, such as a proxy.
  }
  return `the server answered with the status ${status}`;
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await ask(path, { signal: signal ?? null })).json() as Promise<T>;
}

export async function send<T>(method: "POST" | "PUT" | "DELETE", path: string, body?: BodyInit): Promise<T | null> {
  const response = await ask(path, { method, body: body ?? null });
  const text = await response.text();
  return text === "" ? null : (JSON.parse(text) as T);
}

/** Gets a file, and lets the browser save it. */
export async function save(path: string, name: string): Promise<void> {
  saveText(await (await ask(path)).blob(), name);
}

export function saveText(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  // The browser reads it after the click.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export const path = (...parts: (string | number)[]) => "/" + parts.map(encodeURIComponent).join("/");
