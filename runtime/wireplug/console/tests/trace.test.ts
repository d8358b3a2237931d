import { expect, test } from "vitest";
import { Lines, NOTHING, became, contains, direction, keep, since } from "../src/trace";
import type { TraceRecord } from "../src/types";

const record = (more: Partial<TraceRecord> = {}): TraceRecord => ({ "at-us": 1000, direction: "in", ...more });

test("records arrive in pieces", () => {
  const lines = new Lines();
  const [first, second] = [record({ hex: "00" }), record({ direction: "out" })];
  const text = `${JSON.stringify(first)}\n\n${JSON.stringify(second)}\n`;
  expect(lines.push(text.slice(0, 7))).toEqual([]);
  expect(lines.push(text.slice(7))).toEqual([first, second]);
  expect(lines.end()).toEqual([]);
});

test("the last record may have no end of line", () => {
  const lines = new Lines();
  expect(lines.push(JSON.stringify(record()))).toEqual([]);
  expect(lines.end()).toEqual([record()]);
  expect(lines.end()).toEqual([]);
});

test("a line that is no record is shown, and not lost", () => {
  const [broken, list, number] = new Lines().push('{"at-us":\n[1]\n7\n');
  for (const note of [broken, list, number]) expect(note?.note).toMatch(/^not a record: /);
});

test("old records are dropped and counted", () => {
  const three = [1, 2, 3].map((at) => record({ "at-us": at }));
  let kept = keep(NOTHING, three, 4);
  expect([kept.records.length, kept.dropped]).toEqual([3, 0]);
  kept = keep(kept, three, 4);
  expect(kept.records.map((record) => record["at-us"])).toEqual([3, 1, 2, 3]);
  expect(kept.dropped).toBe(2);
});

test("a record says where it went, when, and what it became", () => {
  expect(direction(record({ direction: "out" }))).toBe("to the client");
  expect(since(record({ "at-us": 3500 }), record())).toBe("+2.5 ms");
  expect(since(record(), undefined)).toBe("+0.0 ms");
  expect(became(record({ became: ["heartbeat", { route: "chat.send" }] }))).toEqual(["heartbeat", '{"route":"chat.send"}']);
  expect(became(record())).toEqual([]);
});

test("a search looks at the packet, what it became, and the note", () => {
  const found = record({ text: "Hello", hex: "c0ffee", note: "refused", became: [{ route: "chat.join" }] });
  for (const search of ["hello", "C0FF", "Refus", "chat.JOIN", "", "  "]) expect(contains(found, search)).toBe(true);
  expect(contains(found, "leave")).toBe(false);
});
