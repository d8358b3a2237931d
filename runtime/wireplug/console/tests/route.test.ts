import { expect, test } from "vitest";
import { link, parse } from "../src/route";

test("an address names a page, what is on it, and a search", () => {
  expect(parse("")).toMatchObject({ page: "overview", rest: [] });
  expect(parse("#/sessions/7")).toMatchObject({ page: "sessions", rest: ["7"] });
  expect(parse("#/sessions?search=codec%3Ap").query.get("search")).toBe("codec:p");
  expect(parse("#/%E0%A4%A")).toMatchObject({ page: "%E0%A4%A" });
});

test("a link leads to its page", () => {
  const { page, rest } = parse(link("sessions", "a/b ?"));
  expect([page, rest]).toEqual(["sessions", ["a/b ?"]]);
});
