// The records of a trace: one JSON object a line, which arrives in pieces.

import type { TraceRecord } from "./types";

/** Cuts a stream of text into records. A line that is no record becomes a note. */
export class Lines {
  private rest = "";

  push(piece: string): TraceRecord[] {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
    return lines.filter((line) => line.trim() !== "").map(record);
  }

  /** What is left at the end of the stream. */
  end(): TraceRecord[] {
    const rest = this.rest;
    this.rest = "";
    return rest.trim() === "" ? [] : [record(rest)];
  }
}

function record(line: string): TraceRecord {
  try {
    const parsed = JSON.parse(line) as unknown;
    if (parsed !== null && typeof parsed === "object" && "direction" in parsed) return parsed as TraceRecord;
  } catch {
    // It is shown as it is, below.
  }
  return { "at-us": 0, direction: "log", note: `not a record: ${line.slice(0, 200)}` };
}

/** The newest records of a trace. Older ones are dropped and counted. */
export interface Kept {
  records: TraceRecord[];
  dropped: number;
}

export const NOTHING: Kept = { records: [], dropped: 0 };

export function keep(kept: Kept, added: TraceRecord[], most = 500): Kept {
  const records = [...kept.records, ...added];
  const over = Math.max(0, records.length - most);
  return { records: over > 0 ? records.slice(over) : records, dropped: kept.dropped + over };
}

const NAMES: Record<TraceRecord["direction"], string> = {
  in: "from the client",
  out: "to the client",
  call: "call of the codec",
  log: "log",
  close: "closed",
};

export function direction(record: TraceRecord): string {
  return NAMES[record.direction] ?? record.direction;
}

/** What a packet became: one line for each event or message. */
export function became(record: TraceRecord): string[] {
  return (record.became ?? []).map((event) => (typeof event === "string" ? event : JSON.stringify(event)));
}

/** How long a record came after the first one, in milliseconds. */
export function since(record: TraceRecord, first: TraceRecord | undefined): string {
  if (!first) return "+0.0 ms";
  return `+${((record["at-us"] - first["at-us"]) / 1000).toFixed(1)} ms`;
}

/** Whether a record has a text in it: in its packet, in what it became, or in its note. */
export function contains(record: TraceRecord, search: string): boolean {
  const wanted = search.trim().toLowerCase();
  if (wanted === "") return true;
  const fields = [record.text, record.note, record.hex, ...became(record)];
  return fields.some((field) => field?.toLowerCase().includes(wanted));
}
