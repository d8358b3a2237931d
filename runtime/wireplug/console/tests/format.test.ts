import { expect, test } from "vitest";
import { bytes, clock, count, digest, dump, duration, micros, moment, rate } from "../src/format";

test("sizes have the unit that suits them", () => {
  expect([0, 1023, 1024, 1536, 15 * 1024, 300 * 1024, 5 * 2 ** 30, 2 ** 52].map(bytes)).toEqual([
    "0 B",
    "1023 B",
    "1.00 KiB",
    "1.50 KiB",
    "15.0 KiB",
    "300 KiB",
    "5.00 GiB",
    "4096 TiB",
  ]);
});

test("numbers and rates can be read", () => {
  expect([0, 999, 1000, 1234567].map(count)).toEqual(["0", "999", "1,000", "1,234,567"]);
  expect([0, 0.25, 9.94, 10, 12345].map(rate)).toEqual(["0/s", "0.3/s", "9.9/s", "10/s", "12,345/s"]);
});

test("what is missing is a dash", () => {
  for (const show of [bytes, count, rate, duration, micros]) {
    expect([null, undefined, NaN].map(show)).toEqual(["–", "–", "–"]);
  }
  expect([clock(null), clock(""), clock("soon")]).toEqual(["–", "–", "–"]);
});

test("durations have two units", () => {
  expect([0, 0.9, 59, 60, 61, 3600, 3661, 90000, 86400 * 3 + 60].map(duration)).toEqual([
    "0 s",
    "0 s",
    "59 s",
    "1 min",
    "1 min 1 s",
    "1 h",
    "1 h 1 min",
    "1 d 1 h",
    "3 d",
  ]);
  expect([3, 999, 1000, 1540, 25_000, 2_500_000].map(micros)).toEqual([
    "3 µs",
    "999 µs",
    "1.0 ms",
    "1.5 ms",
    "25 ms",
    "2.5 s",
  ]);
});

test("moments are seconds, milliseconds, microseconds or text", () => {
  const wanted = Date.UTC(2026, 10, 30, 7, 0, 0);
  for (const at of [wanted / 1000, wanted, wanted * 1000, "2026-11-30T07:00:00Z"]) {
    expect(moment(at)?.getTime()).toBe(wanted);
  }
  expect(clock(wanted + 5)).toMatch(/^\d\d:00:00\.005$/);
});

test("a digest is short, and a native codec has none", () => {
  expect(digest("0123456789abcdef")).toBe("0123456789ab");
  expect(digest(null)).toBe("native");
});

test("a dump has lines of 16 bytes", () => {
  const lines = dump("00".repeat(16) + "48 69 7f");
  expect(lines).toEqual([
    { offset: "0000", hex: Array(16).fill("00").join(" "), text: "·".repeat(16) },
    { offset: "0010", hex: "48 69 7f", text: "Hi·" },
  ]);
  expect(dump("")).toEqual([]);
  expect(dump("4")).toEqual([]);
});
