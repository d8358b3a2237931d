import { expect, test } from "vitest";
import { NONE, backtrace, contains, isEnd, merge, query, sentence } from "../src/events";
import type { ServerEvent } from "../src/types";

const event = (number: number, more: Partial<ServerEvent> = {}): ServerEvent => ({ number, at: 0, kind: "close", ...more });

test("new events come first, and none twice", () => {
  const first = merge(NONE, { events: [event(1), event(2)], next: 2 });
  expect(first.after).toBe(2);
  const second = merge(first, { events: [event(2), event(3)], next: 3 });
  expect(second.events.map((event) => event.number)).toEqual([3, 2, 1]);
  expect(merge(second, { events: [], next: null })).toEqual(second);
});

test("the first page is the newest, and the next ones follow it", () => {
  expect(query(NONE, 10)).toBe("?limit=10");
  expect(query(merge(NONE, { events: [event(7)], next: 7 }), 10)).toBe("?after=7&limit=10");
});

test("old events are dropped", () => {
  const events = [1, 2, 3, 4].map((number) => event(number));
  expect(merge(NONE, { events, next: 4 }, 2).events.map((event) => event.number)).toEqual([4, 3]);
});

test("closes and faults are ends, and the rest is the log", () => {
  expect(["close", "fault", "log", "swap"].map((kind) => isEnd(event(1, { kind })))).toEqual([true, true, false, false]);
});

test("a backtrace is text or lines", () => {
  expect(backtrace(event(1, { backtrace: ["a", "b"] }))).toBe("a\nb");
  expect(backtrace(event(1, { backtrace: "a" }))).toBe("a");
  expect(backtrace(event(1))).toBe("");
});

test("a search looks at all fields", () => {
  expect(contains(event(1, { cause: "codec-trapped" }), "TRAPPED")).toBe(true);
  expect(contains(event(1), "trapped")).toBe(false);
});

test("a line of the log has its fields, and a change its outcome", () => {
  expect(sentence(event(1, { message: "slow", fields: { ms: 7, who: "ann" } }))).toBe("slow ms=7 who=ann");
  const change = event(1, { kind: "rollback", change: "rollback", who: "policy", outcome: "done", reason: "3 faults" });
  expect(sentence(change)).toBe("rollback by policy: done: 3 faults");
  expect(sentence(event(1))).toBe("");
});
