import { expect, test } from "vitest";
import { Pages, parse, print, query } from "../src/filters";

test("words are filters, users or addresses", () => {
  expect(parse('codec:pomelo idle-over:5m ann group:"the lobby"')).toEqual({
    filters: { codec: "pomelo", "idle-over": "5m", user: "ann", group: "the lobby" },
    unknown: [],
  });
  for (const address of ["10.0.0.7", "10.0.0.7:5000", "::1", "fe80::1:2", "[::1]:5000"]) {
    expect(parse(address).filters).toEqual({ address });
  }
  expect(parse("listener:tcp://127.0.0.1:3010").filters).toEqual({ listener: "tcp://127.0.0.1:3010" });
  expect(parse("")).toEqual({ filters: {}, unknown: [] });
});

test("a filter that does not exist is named", () => {
  expect(parse("colour:red user:ann")).toEqual({ filters: { user: "ann" }, unknown: ["colour"] });
});

test("what is printed can be read again", () => {
  const filters = { user: "ann b", address: "::1", state: "awake" };
  expect(parse(print(filters)).filters).toEqual(filters);
});

test("a query has the filters, the limit and the place", () => {
  expect(query({ user: "a&b" }, 100, null)).toBe("user=a%26b&limit=100");
  expect(query({}, 50, 7)).toBe("limit=50&after=7");
});

test("pages go on and back", () => {
  const first = Pages.first();
  const third = first.next(100).next("200");
  expect([first.after, first.number, third.after, third.number]).toEqual([null, 1, "200", 3]);
  expect([third.back().after, third.back().back().after]).toEqual([100, null]);
  expect(first.back().number).toBe(1);
});
