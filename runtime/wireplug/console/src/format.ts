// How numbers, times and bytes are shown.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

/** A size in binary units, with three digits at most. */
export function bytes(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  let unit = 0;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A number with groups of three digits. */
export function count(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return Math.round(value).toString().replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

/** A rate a second: small ones with a fraction. */
export function rate(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  return value !== 0 && Math.abs(value) < 10 ? `${value.toFixed(1)}/s` : `${count(value)}/s`;
}

/** A duration in its two largest units. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ] as const;
  const first = parts.findIndex(([value]) => value > 0);
  if (first < 0) return "0 s";
  const shown = parts.slice(first, first + 2).filter(([value]) => value > 0);
  return shown.map(([value, unit]) => `${value} ${unit}`).join(" ");
}

/** A duration in microseconds, in the unit that suits it. */
export function micros(value: number | null | undefined): string {
  if (value == null || !Number.isFinite(value)) return "–";
  if (value < 1000) return `${Math.round(value)} µs`;
  if (value < 1_000_000) return `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} ms`;
  return `${(value / 1_000_000).toFixed(1)} s`;
}

/** The beginning of a digest, by which people tell versions apart. */
export function digest(sha256: string | null | undefined): string {
  return sha256 ? sha256.slice(0, 12) : "native";
}

/** A moment: seconds, milliseconds or microseconds since 1970, or text (RFC 3339). */
export function moment(at: string | number | null | undefined): Date | null {
  if (at == null || at === "") return null;
  if (typeof at === "string") {
    const parsed = new Date(at);
    return Number.isNaN(parsed.getTime()) ? null : parsed;
  }
  return new Date(at > 1e14 ? at / 1000 : at > 1e11 ? at : at * 1000);
}

/** The time of day, with milliseconds. */
export function clock(at: string | number | null | undefined): string {
  const date = moment(at);
  if (!date) return "–";
  const two = (value: number) => String(value).padStart(2, "0");
  const millis = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${millis}`;
}

/** One line of a dump: offset, bytes in hexadecimal digits, and the same as text. */
export interface DumpLine {
  offset: string;
  hex: string;
  text: string;
}

const WIDTH = 16;

/** A packet in lines of 16 bytes. Digits that make no whole byte are left out. */
export function dump(hex: string): DumpLine[] {
  const digits = hex.replace(/[^0-9a-fA-F]/g, "");
  const values: number[] = [];
  for (let at = 0; at + 1 < digits.length; at += 2) values.push(parseInt(digits.slice(at, at + 2), 16));
  const lines: DumpLine[] = [];
  for (let at = 0; at < values.length; at += WIDTH) {
    const row = values.slice(at, at + WIDTH);
    lines.push({
      offset: at.toString(16).padStart(4, "0"),
      hex: row.map((value) => value.toString(16).padStart(2, "0")).join(" "),
      text: row.map((value) => (value >= 0x20 && value < 0x7f ? String.fromCharCode(value) : "·")).join(""),
    });
  }
  return lines;
}
