import { expect, test } from "vitest";
import { History, largest, rate, rateOf, total, valueOf } from "../src/rates";
import type { Stats } from "../src/types";

const stats = (uptime: number, packets: number, p50: number | null = null): Stats => ({
  "uptime-seconds": uptime,
  "connections-open": 1,
  "connections-total": 1,
  "packets-in": packets,
  "packets-out": 0,
  "bytes-in": 0,
  "bytes-out": 0,
  "handler-latency": { "p50-us": p50 },
});

test("a rate is the growth in a second", () => {
  expect(rate(10, 30, 2)).toBe(10);
  expect(rate(10, 10, 2)).toBe(0);
});

test("there is no rate without two counts, without time, or after a restart", () => {
  expect(rate(undefined, 1, 1)).toBeNull();
  expect(rate(1, undefined, 1)).toBeNull();
  expect(rate(1, 2, 0)).toBeNull();
  expect(rate(1, 2, -1)).toBeNull();
  expect(rate(5, 2, 1)).toBeNull();
});

test("counts are added, and the largest come first", () => {
  const counts = { "200": 5, "404": 2, "500": 2, "201": 0 };
  expect(total(counts)).toBe(9);
  expect(total(counts, (status) => Number(status) >= 400)).toBe(4);
  expect(total(undefined)).toBe(0);
  expect(largest(counts)).toEqual([["200", 5], ["404", 2], ["500", 2]]);
  expect(largest(undefined)).toEqual([]);
});

test("a history has a column for the times and for each line", () => {
  const history = new History();
  const lines = [
    rateOf("in", (stats) => stats["packets-in"]),
    valueOf("half", (stats) => stats["handler-latency"]?.["p50-us"]),
  ];
  expect(history.latest(lines[0]!)).toBeNull();
  history.add({ at: 1000, stats: stats(1, 100, 7) });
  history.add({ at: 3000, stats: stats(3, 140, null) });
  expect(history.columns(lines)).toEqual([[1, 3], [null, 20], [7, null]]);
  expect(history.latest(lines[0]!)).toBe(20);
});

test("a history drops old samples, and those of a server that was started anew", () => {
  const history = new History(2);
  for (const at of [1, 2, 3]) history.add({ at: at * 1000, stats: stats(at, at) });
  expect(history.samples.map((sample) => sample.at)).toEqual([2000, 3000]);
  history.add({ at: 3000, stats: stats(3, 3) });
  expect(history.samples).toHaveLength(2);
  history.add({ at: 4000, stats: stats(0, 0) });
  expect(history.samples.map((sample) => sample.at)).toEqual([4000]);
});
