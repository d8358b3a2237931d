// Recent closes, faults and log lines.

import type { EventPage, ServerEvent } from "./types";

/** The newest events, the newest first. */
export interface Recent {
  events: ServerEvent[];
  /** The number after which the next request asks. */
  after: number;
}

export const NONE: Recent = { events: [], after: 0 };

/** The query of the next page. The first one is the newest. */
export function query(recent: Recent, limit: number): string {
  return recent.after > 0 ? `?after=${recent.after}&limit=${limit}` : `?limit=${limit}`;
}

/** Adds a page. */
export function merge(recent: Recent, page: EventPage, most = 500): Recent {
  const known = new Set(recent.events.map((event) => event.number));
  const added = page.events.filter((event) => !known.has(event.number));
  const newest = page.events.reduce((most, event) => Math.max(most, event.number), recent.after);
  if (added.length === 0) return { events: recent.events, after: newest };
  const events = [...added, ...recent.events].sort((a, b) => b.number - a.number).slice(0, most);
  return { events, after: newest };
}

/** Whether an event belongs on the page of closes and faults. The others are the log. */
export function isEnd(event: ServerEvent): boolean {
  return event.kind === "close" || event.kind === "fault";
}

export function backtrace(event: ServerEvent): string {
  const text = event.backtrace;
  return Array.isArray(text) ? text.join("\n") : (text ?? "");
}

/** What an event says, in one line: a log line with its fields, or a change with its outcome. */
export function sentence(event: ServerEvent): string {
  const change = [event.change && `${event.change} by ${event.who ?? "nobody"}`, event.outcome];
  const parts = [event.message, ...change, event.reason].filter((part): part is string => Boolean(part));
  const fields = Object.entries(event.fields ?? {});
  const shown = fields.map(([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return [parts.join(": "), ...shown].join(" ").trim();
}

export function contains(event: ServerEvent, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  return wanted === "" || JSON.stringify(event).toLowerCase().includes(wanted);
}
