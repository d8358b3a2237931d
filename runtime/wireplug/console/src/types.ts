// The answers of the control API, as far as the console shows them. Fields that another version of
// the server may leave out are optional.

export type Role = "read" | "push" | "trial" | "swap" | "admin";

export interface LoggedIn {
  name: string;
  /** The roles of the token. */
  roles: Role[];
  /** Each role whose rights these give. */
  may: Role[];
  version: string;
}

export type Counts = Record<string, number>;

export interface Stats {
  node?: string | null;
  version?: string;
  "uptime-seconds": number;
  "connections-open": number;
  "connections-total": number;
  "packets-in": number;
  "packets-out": number;
  "bytes-in": number;
  "bytes-out": number;
  "messages-in"?: number;
  "messages-out"?: number;
  responses?: Counts;
  closes?: Counts;
  drops?: Counts;
  faults?: Counts;
  "sessions-awake"?: number;
  "sessions-asleep"?: number;
  "memory-bytes"?: number | null;
  "memory-limit-bytes"?: number | null;
  "handler-latency"?: { "p50-us"?: number | null; "p99-us"?: number | null } | null;
}

export interface Generation {
  number: number;
  role: "current" | "shadow" | "canary" | "previous" | "leaving";
  name: string;
  version: string;
  sha256: string | null;
  size: number | null;
  origin: string;
  abilities: string[];
  options: unknown;
  "loaded-at": number;
  "load-ms": number;
  sessions: number;
  opened: number;
  "moved-in": number;
  "packets-in": number;
  "packets-out": number;
  faults: Counts;
}

export interface Difference {
  call: string;
  input: string;
  current: string;
  candidate: string;
}

export interface Compared {
  compared: number;
  differences: number;
  "not-mirrored": number;
  first: Difference[];
}

export interface Slot {
  name: string;
  current: number;
  suspended: boolean;
  "refused-addresses": number;
  generations: Generation[];
  shadow: Compared | null;
  "rolled-back": string[];
}

export interface SwapReport {
  slot: string;
  from: number;
  to: number;
  moved: number;
  staying: number;
  "rolled-back": boolean;
}

export interface NodeStatus {
  node: string | null;
  version: string;
  uptime: number;
  connections: number;
  sessions: number;
  users: number;
  awake: { awake: number; "max-awake": number; waiting: number };
  nats: { connected: boolean; problem: string | null; dropped: number } | null;
  tokens?: { name: string; file: string; expires: number }[];
  certificates?: { "used-by": string; key: string; file: string; expires: number }[];
  codecs: Slot[];
  compiling?: { codec: string | null; sha256: string; size: number; state: string }[];
}

export interface Session {
  id: number | string;
  user?: string | null;
  peer: string;
  listener?: string;
  transport?: string;
  codec: string;
  generation: number;
  groups?: string[];
  state: string;
  "opened-seconds"?: number;
  "idle-seconds"?: number;
  "packets-in"?: number;
  "packets-out"?: number;
  "bytes-in"?: number;
  "bytes-out"?: number;
}

export interface SessionPage {
  sessions: Session[];
  next: number | string | null;
}

export interface TraceRecord {
  "at-us": number;
  session?: number | string;
  direction: "in" | "out" | "call" | "log" | "close";
  hex?: string | null;
  text?: string | null;
  size?: number | null;
  became?: unknown[] | null;
  "codec-us"?: number | null;
  fuel?: number | null;
  note?: string | null;
}

export interface ServerEvent {
  number: number;
  at: string | number;
  kind: string;
  session?: number | string | null;
  peer?: string | null;
  listener?: string | null;
  codec?: string | null;
  cause?: string | null;
  reason?: string | null;
  backtrace?: string | string[] | null;
  user?: string | null;
  generation?: number | null;
  level?: string | null;
  target?: string | null;
  message?: string | null;
  fields?: Record<string, unknown>;
  who?: string | null;
  change?: string | null;
  outcome?: string | null;
}

/** A fault whose packets may have been kept. */
export interface FaultSummary {
  number: number;
  session: number | string;
  vectors: boolean;
  "no-vectors"?: string | null;
}

export interface FaultPage {
  faults: FaultSummary[];
}

export interface EventPage {
  events: ServerEvent[];
  next: number | null;
}
