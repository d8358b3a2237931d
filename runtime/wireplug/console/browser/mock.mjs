// A control API that answers as its contract says, for the pages that need no real server.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";

const DIST = new URL("../dist/", import.meta.url);
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8" };
export const TOKEN = "0123456789abcdef0123456789abcdef";

/** The policy that the real server sends (`runtime/wireplug/src/admin/console.rs`). */
async function policy() {
  const source = await readFile(new URL("../../src/admin/console.rs", import.meta.url), "utf8");
  const [, text] = /const POLICY: &str = "((?:[^"\\]|\\[^])*)"/.exec(source);
  return text.replace(/\\\n\s*/g, "");
}

const generation = (number, role, more = {}) => ({
  number,
  role,
  name: "pomelo",
  version: "0.1.0",
  sha256: String(number).repeat(64).slice(0, 64),
  size: 180_000,
  origin: "memory",
  abilities: ["handoff"],
  options: {},
  "loaded-at": 1_790_000_000,
  "load-ms": 12,
  sessions: role === "current" ? 3 : 0,
  opened: 9,
  "moved-in": 0,
  "packets-in": 1234,
  "packets-out": 2345,
  faults: role === "canary" ? { "codec-trap": 1 } : {},
  ...more,
});

/** Starts the server. `missing` are the paths that this version of the server does not have. */
export async function start({ role = "admin", missing = [] } = {}) {
  const csp = await policy();
  const state = {
    requests: [],
    kicked: [],
    loggedIn: false,
    polls: 0,
    slot: {
      name: "pomelo",
      current: 2,
      suspended: false,
      "refused-addresses": 0,
      generations: [generation(1, "previous"), generation(2, "current"), generation(3, "shadow")],
      shadow: {
        compared: 500,
        differences: 1,
        "not-mirrored": 0,
        first: [{ call: "decode", input: "04000001", current: "[message]", candidate: "[]" }],
      },
      "rolled-back": [],
    },
  };
  const session = (id) => ({
    id,
    user: `user-${id}`,
    peer: `10.0.0.${id % 250}:5${id}`,
    listener: "tcp://127.0.0.1:3010",
    transport: "tcp",
    codec: "pomelo",
    generation: 2,
    groups: ["chat"],
    state: id % 3 === 0 ? "asleep" : "awake",
    "opened-seconds": 61.5,
    "idle-seconds": 2.25,
    "packets-in": 10,
    "packets-out": 20,
    "bytes-in": 1000,
    "bytes-out": 2048,
  });
  const all = Array.from({ length: 250 }, (_, index) => session(index + 1));

  const api = {
    "GET /stats": () => {
      state.polls += 1;
      const n = state.polls;
      return {
        node: null,
        version: "0.1.0",
        "uptime-seconds": n * 2,
        "connections-open": 100 + (n % 7),
        "connections-total": 1000 + n,
        "packets-in": n * 400,
        "packets-out": n * 600,
        "bytes-in": n * 40_000,
        "bytes-out": n * 90_000,
        responses: { 200: n * 300, 404: n },
        closes: { "client-closed": n },
        drops: {},
        faults: { "codec-trap": 2 },
        "sessions-awake": 40,
        "sessions-asleep": 60,
        "memory-bytes": 120 << 20,
        "memory-limit-bytes": 1 << 30,
        "handler-latency": { "p50-us": 120, "p99-us": 900 },
      };
    },
    "GET /codecs": () => [state.slot],
    "GET /nodes": () => [
      {
        node: "a",
        version: "0.1.0",
        uptime: 3661,
        connections: 100,
        sessions: 99,
        users: 98,
        awake: { awake: 40, "max-awake": 10_000, waiting: 0 },
        nats: { connected: true, problem: null, dropped: 0 },
        certificates: [],
        codecs: [state.slot],
        compiling: [],
      },
    ],
    "GET /sessions": (url) => {
      const after = Number(url.searchParams.get("after") ?? 0);
      const limit = Number(url.searchParams.get("limit") ?? 100);
      const user = url.searchParams.get("user");
      const found = all.filter((one) => one.id > after && (!user || one.user === user));
      const page = found.slice(0, limit);
      return { sessions: page, next: found.length > limit ? page.at(-1).id : null };
    },
    "GET /events": (url) => {
      const events = [
        { number: 1, at: "2026-11-30T07:00:00.5Z", kind: "log", level: "warn", message: "a client waits", fields: { ms: 7 } },
        { number: 2, at: "2026-11-30T07:00:01Z", kind: "close", session: 7, peer: "10.0.0.7:1", cause: "client-closed" },
        {
          number: 3,
          at: "2026-11-30T07:00:02Z",
          kind: "fault",
          session: 8,
          codec: "pomelo",
          generation: 3,
          cause: "codec-trap",
          reason: "unreachable",
          backtrace: ["decode", "crash"],
        },
      ].filter((event) => event.number > Number(url.searchParams.get("after") ?? 0));
      return { events, next: 3 };
    },
    "GET /faults": () => ({ faults: [{ number: 1, session: 8, vectors: true, "no-vectors": null }] }),
    "POST /codecs/pomelo/promote": () => {
      state.slot.generations = [generation(2, "previous"), generation(3, "current")];
      state.slot.current = 3;
      return { slot: "pomelo", from: 2, to: 3, moved: 3, staying: 0, "rolled-back": false };
    },
    "PUT /codecs/pomelo": () => {
      state.slot.generations.push(generation(4, "canary"));
      return { slot: "pomelo", generation: 4 };
    },
  };

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, "http://localhost");
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    state.requests.push({ method: request.method, url: request.url, headers: request.headers, body });
    response.setHeader("Content-Security-Policy", csp);
    const json = (status, value, headers = {}) => {
      response.writeHead(status, { "Content-Type": "application/json", ...headers });
      response.end(JSON.stringify(value));
    };
    const path = url.pathname;
    const file = /^\/console\/(console\.js|console\.css|)$/.exec(path);
    if (file) {
      const name = file[1] || "index.html";
      response.setHeader("Content-Type", TYPES[name.split(".").pop()]);
      return response.end(await readFile(new URL(name, DIST)));
    }
    const may = { read: ["read"], trial: ["read", "trial"], swap: ["read", "trial", "swap"] }[role];
    const who = { name: "ann", roles: [role], may: may ?? ["read", "push", "trial", "swap", "admin"], version: "0.1.0" };
    if (path === "/console/login") {
      state.loggedIn = JSON.parse(body).token === TOKEN;
      return state.loggedIn
        ? json(200, who, { "Set-Cookie": "console=1; Path=/; HttpOnly; SameSite=Strict" })
        : json(401, { error: "the token is wrong" });
    }
    if (!state.loggedIn || !request.headers.cookie) return json(401, { error: "nobody is logged in" });
    if (path === "/console/session") return json(200, who);
    if (path === "/console/logout") {
      state.loggedIn = false;
      return response.writeHead(204).end();
    }
    if (missing.some((prefix) => path.startsWith(prefix))) return json(404, { error: "there is nothing here" });
    const one = /^\/sessions\/(\d+)$/.exec(path);
    if (one && request.method === "GET") return json(200, { ...session(Number(one[1])), "outbox-messages": 0 });
    if (one && request.method === "DELETE") {
      state.kicked.push([Number(one[1]), url.searchParams.get("reason")]);
      return json(200, { kicked: 1 });
    }
    if (path === "/trace") return trace(response, url.searchParams.get("session"));
    if (path.endsWith(".vectors") || path === "/trace/vectors") {
      response.setHeader("Content-Type", "text/plain");
      return response.end("session\nin 00\n");
    }
    const answer = api[`${request.method} ${path}`];
    return answer ? json(200, answer(url)) : json(404, { error: "there is nothing here" });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const origin = `http://127.0.0.1:${server.address().port}`;
  return { state, url: `${origin}/console/`, close: () => (server.closeAllConnections(), server.close()) };
}

/** A stream that stays open. Its second record comes in two pieces. */
function trace(response, session) {
  response.writeHead(200, { "Content-Type": "application/x-ndjson" });
  const hex = Buffer.from('{"text":"hello"}').toString("hex");
  const records = [
    { "at-us": 1e15, session, direction: "in", hex, size: 16, became: [{ route: "chat.chatHandler.send" }], "codec-us": 7, fuel: null },
    { "at-us": 1e15 + 1500, session, direction: "out", hex: "0400", size: 2, became: [{ push: "onChat" }], "codec-us": 5, fuel: null },
  ];
  const [first, second] = records.map((record) => JSON.stringify(record) + "\n");
  response.write(first + second.slice(0, 9));
  setTimeout(() => response.write(second.slice(9)), 20);
}
