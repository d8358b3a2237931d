// Rates from counts: the server counts since its start, and the console asks every few seconds.

import type { Counts, Stats } from "./types";

export interface Sample {
  /** When the counts were read, in milliseconds. */
  at: number;
  stats: Stats;
}

/** How often a count grew in a second. Null without two samples, or if the server restarted. */
export function rate(from: number | undefined, to: number | undefined, seconds: number): number | null {
  if (from === undefined || to === undefined || !(seconds > 0) || to < from) return null;
  return (to - from) / seconds;
}

/** Adds the counts of all keys, or of those that a test accepts. */
export function total(counts: Counts | undefined, accepts: (key: string) => boolean = () => true): number {
  return Object.entries(counts ?? {}).reduce((sum, [key, value]) => sum + (accepts(key) ? value : 0), 0);
}

/** The largest counts first. */
export function largest(counts: Counts | undefined): [string, number][] {
  const entries = Object.entries(counts ?? {}).filter(([, value]) => value > 0);
  return entries.sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** A line of a chart: what it shows, from the sample before and this one. */
export interface Line {
  label: string;
  of: (now: Stats, before: Stats | null, seconds: number) => number | null;
}

/** A line that shows the rate of a count. */
export function rateOf(label: string, field: (stats: Stats) => number | undefined): Line {
  return {
    label,
    of: (now, before, seconds) => (before ? rate(field(before), field(now), seconds) : null),
  };
}

/** A line that shows a value as it is. */
export function valueOf(label: string, field: (stats: Stats) => number | null | undefined): Line {
  return { label, of: (now) => field(now) ?? null };
}

/** Keeps the last samples. A restart of the server begins anew. */
export class History {
  readonly samples: Sample[] = [];

  constructor(readonly most = 300) {}

  add(sample: Sample): void {
    const last = this.samples.at(-1);
    if (last && sample.at <= last.at) return;
    if (last && sample.stats["uptime-seconds"] < last.stats["uptime-seconds"]) this.samples.length = 0;
    this.samples.push(sample);
    if (this.samples.length > this.most) this.samples.shift();
  }

  /** The columns of a chart: times in seconds, and a column for each line. */
  columns(lines: Line[]): (number | null)[][] {
    const times = this.samples.map((sample) => sample.at / 1000);
    const columns = lines.map((line) =>
      this.samples.map((sample, index) => {
        const before = index > 0 ? this.samples[index - 1]! : null;
        const seconds = before ? (sample.at - before.at) / 1000 : 0;
        return line.of(sample.stats, before?.stats ?? null, seconds);
      }),
    );
    return [times, ...columns];
  }

  /** The newest value of a line. */
  latest(line: Line): number | null {
    const now = this.samples.at(-1);
    const before = this.samples.at(-2);
    if (!now) return null;
    return line.of(now.stats, before?.stats ?? null, before ? (now.at - before.at) / 1000 : 0);
  }
}
