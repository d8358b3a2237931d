// The pages of the console, in Chromium, with a control API that this folder has.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { TOKEN, start } from "./mock.mjs";
import { PHONE, launch, logIn, open, picture, visit } from "./page.mjs";

let browser;
before(async () => void (browser = await launch()));
after(() => browser.close());

/** Runs a test with a server and a page that is logged in. */
async function withConsole({ server: settings, page: options } = {}, run) {
  const server = await start(settings);
  const { page, context, close } = await open(browser, options);
  try {
    await logIn(page, server.url, TOKEN);
    await run({ page, context, server, state: server.state });
    await close();
  } finally {
    await context.close();
    server.close();
  }
}

const has = (locator, text) => locator.getByText(text).first().waitFor();
const saved = async (page, click) => {
  const [download] = await Promise.all([page.waitForEvent("download"), click()]);
  return [download.suggestedFilename(), await readFile(await download.path(), "utf8")];
};

test("a wrong token is refused, and a logout ends the session", async () => {
  const server = await start();
  const { page, close } = await open(browser);
  await page.goto(server.url);
  await page.getByLabel("Token of the control API").fill("wrong");
  await page.keyboard.press("Enter");
  await has(page.getByRole("alert"), "the token is wrong");
  await page.getByLabel("Token of the control API").fill(TOKEN);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  assert.equal(await page.evaluate(() => document.cookie), "", "no script sees the cookie");
  await close();
  server.close();
});

test("a session that is over leads to the login", () =>
  withConsole({}, async ({ page, state }) => {
    state.loggedIn = false;
    await page.getByRole("heading", { name: "Log in" }).waitFor();
  }));

test("the overview draws rates from counts", () =>
  withConsole({}, async ({ page }) => {
    const packets = page.getByRole("img", { name: /^Packets: in \d+\/s, out \d+\/s/ });
    await packets.waitFor();
    await packets.locator("canvas").waitFor();
    await has(page, "120 MiB of 1.00 GiB");
    await has(page, "codec-trap");
    // More samples make a line.
    if (process.env.PICTURES) await has(page, "10 s");
    await picture(page, "overview");
  }));

test("a promotion asks first", () =>
  withConsole({}, async ({ page, state }) => {
    await visit(page, "Codecs");
    await has(page, "1 of 500 answers differ");
    const promote = page.getByRole("button", { name: "Promote…" });
    await promote.click();
    await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
    const changes = () => state.requests.filter(({ method, url }) => method === "POST" && url.includes("promote"));
    assert.equal(changes().length, 0);
    await promote.click();
    await page.getByRole("dialog").getByLabel("Live sessions").selectOption("drain");
    await page.getByRole("dialog").getByRole("button", { name: "Promote" }).click();
    await has(page.getByRole("status"), "Generation 3 is current, after 2");
    assert.deepEqual(changes().map(({ url }) => url), ["/codecs/pomelo/promote?sessions=drain"]);
    assert.equal(changes()[0].headers["sec-fetch-site"], "same-origin");
  }));

test("a component is uploaded as a canary, and a refusal stays in the dialog", () =>
  withConsole({}, async ({ page, state }) => {
    await visit(page, "Codecs");
    await page.getByRole("button", { name: "Upload…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Component").setInputFiles({ name: "a.wasm", mimeType: "application/wasm", buffer: Buffer.from("\0asm") });
    await dialog.getByLabel("Share of a trial, in percent").fill("25");
    await dialog.getByRole("button", { name: "Upload" }).click();
    await has(page.getByRole("status"), "Generation 4 is on trial as a canary");
    const upload = state.requests.find(({ method }) => method === "PUT");
    assert.equal(upload.url, "/codecs/pomelo?trial=canary&share=0.25");
    assert.equal(upload.body.toString(), "\0asm");
    await page.getByRole("button", { name: "Roll back…" }).click();
    await dialog.getByRole("button", { name: "Roll back" }).click();
    await has(dialog.getByRole("alert"), "there is nothing here");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });
  }));

test("the role read sees no buttons that change something", () =>
  withConsole({ server: { role: "read" } }, async ({ page }) => {
    await visit(page, "Codecs");
    await page.getByRole("table", { name: "Generations of pomelo" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Upload…" }).count(), 0);
    await page.goto(page.url().replace(/#.*/, "#/sessions/7"));
    await page.getByRole("button", { name: "Start the trace" }).waitFor();
    assert.equal(await page.getByRole("button", { name: "Kick…" }).count(), 0);
  }));

test("the role trial begins and ends trials, and swaps nothing", () =>
  withConsole({ server: { role: "trial" } }, async ({ page }) => {
    await visit(page, "Codecs");
    const button = (name) => page.getByRole("button", { name });
    await button("End the trial…").waitFor();
    for (const name of ["Promote…", "Roll back…", "Reload…"]) assert.equal(await button(name).count(), 0);
    await button("Upload…").click();
    const dialog = page.getByRole("dialog");
    const uses = await dialog.getByLabel("Use").locator("option").allTextContents();
    assert.deepEqual(uses, ["as a canary", "as a shadow"]);
    assert.equal(await dialog.getByLabel("Live sessions").count(), 0);
  }));

test("sessions are listed by pages, and searched", () =>
  withConsole({}, async ({ page, state }) => {
    await visit(page, "Sessions");
    await has(page.getByRole("caption"), "Sessions, page 1");
    await page.getByRole("button", { name: "Next page" }).click();
    await page.getByRole("link", { name: "101", exact: true }).waitFor();
    await page.getByRole("button", { name: "Next page" }).click();
    await page.getByRole("link", { name: "250", exact: true }).waitFor();
    assert.ok(await page.getByRole("button", { name: "Next page" }).isDisabled());
    await page.getByRole("button", { name: "Previous page" }).click();
    await page.getByRole("link", { name: "200", exact: true }).waitFor();
    await page.getByRole("searchbox", { name: "Search" }).fill("user-7 codec:pomelo colour:red");
    await page.keyboard.press("Enter");
    await has(page.getByRole("alert"), "There is no filter colour");
    await page.getByRole("link", { name: "7", exact: true }).waitFor();
    assert.equal(await page.getByRole("row").count(), 2);
    const asked = state.requests.map(({ url }) => url);
    assert.ok(asked.includes("/sessions?user=user-7&codec=pomelo&limit=100"), asked.at(-1));
  }));

test("a trace shows packets beside what they became", () =>
  withConsole({}, async ({ page, context }) => {
    await page.goto(page.url().replace(/#.*/, "") + "#/sessions/7");
    await page.getByRole("button", { name: "Start the trace" }).click();
    const records = page.getByRole("region", { name: "Trace" }).getByRole("listitem");
    await has(records, "chat.chatHandler.send");
    await has(records.first(), '{"text":"hello"}');
    await has(records.nth(1), "+1.5 ms");
    await picture(page, "trace");
    await page.getByRole("searchbox", { name: "Search the trace" }).fill("onChat");
    await records.nth(1).waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Stop the trace" }).click();
    await has(page.getByRole("status"), "The trace is off.");
    const [name, text] = await saved(page, () => page.getByRole("button", { name: "Save the last packets" }).click());
    assert.deepEqual([name, text], ["session-7.vectors", "session\nin 00\n"]);
    await context.clearCookies();
    await page.getByRole("button", { name: "Start the trace" }).click();
    await page.getByRole("heading", { name: "Log in" }).waitFor();
  }));

test("a kick says why", () =>
  withConsole({}, async ({ page, state }) => {
    await page.goto(page.url().replace(/#.*/, "") + "#/sessions/7");
    await page.getByRole("button", { name: "Kick…" }).click();
    await page.getByRole("dialog").getByLabel("Reason").fill("too loud");
    await page.getByRole("dialog").getByRole("button", { name: "Kick" }).click();
    await has(page.getByRole("status"), "The session was kicked.");
    assert.deepEqual(state.kicked, [[7, "too loud"]]);
  }));

test("closes, faults and the log", () =>
  withConsole({}, async ({ page }) => {
    await visit(page, "Closes and faults");
    await has(page, "client-closed");
    await page.getByText("Backtrace").click();
    await has(page, "crash");
    const [name] = await saved(page, () => page.getByRole("button", { name: "Save as vectors" }).click());
    assert.equal(name, "fault-1.vectors");
    await page.getByLabel("Show").selectOption("close");
    await page.getByText("codec-trap").waitFor({ state: "detached" });
    await visit(page, "Log");
    await has(page, "a client waits ms=7");
    assert.equal(await page.getByText("client-closed").count(), 0);
    await visit(page, "Nodes");
    await has(page, "1 h 1 min");
  }));

test("what a server does not have is named, and the rest works", () =>
  withConsole({ server: { missing: ["/stats", "/events", "/sessions"] } }, async ({ page }) => {
    await has(page, "This server does not have counts for charts");
    await visit(page, "Closes and faults");
    await has(page, "This server does not have recent events");
    await visit(page, "Codecs");
    await page.getByRole("table", { name: "Generations of pomelo" }).waitFor();
  }));

test("all can be reached by the keyboard", () =>
  withConsole({}, async ({ page }) => {
    await page.reload();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    const seen = [];
    for (let press = 0; press < 12; press += 1) {
      await page.keyboard.press("Shift+Tab");
      seen.push(await page.evaluate(() => document.activeElement?.textContent?.trim()));
    }
    for (const name of ["Skip to the content", "Codecs", "Sessions", "Log", "Log out"]) assert.ok(seen.includes(name), `${name}: ${seen}`);
    await page.getByRole("link", { name: "Codecs" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Codecs" }).waitFor();
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Codecs");
    await page.getByRole("button", { name: "Promote…" }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
  }));

for (const colorScheme of ["light", "dark"]) {
  test(`text can be read on a phone, ${colorScheme}`, () =>
    withConsole({ page: { viewport: PHONE, colorScheme } }, async ({ page }) => {
      for (const name of ["Overview", "Codecs", "Sessions", "Nodes", "Closes and faults", "Log"]) {
        await visit(page, name);
        await page.getByRole("heading", { name, exact: true }).waitFor();
        const { wide, contrast } = await page.evaluate(legibility);
        assert.ok(wide <= PHONE.width, `${name} is ${wide} pixels wide`);
        assert.ok(contrast >= 4.5, `${name} has text with a contrast of ${contrast}`);
      }
    }));
}

/** The width of the page, and the lowest contrast of its colours (WCAG 2). */
function legibility() {
  const luminance = (colour) => {
    const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => Number(part) / 255);
    const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\)$|transparent/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("body *")].filter(
    (element) => !element.disabled && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ""),
  );
  const contrasts = texts.map((element) => {
    const [a, b] = [luminance(getComputedStyle(element).color), luminance(behind(element))];
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
  return { wide: document.documentElement.scrollWidth, contrast: Math.min(...contrasts) };
}
