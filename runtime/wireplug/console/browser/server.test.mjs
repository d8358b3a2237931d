// The console with a real server. The test `in_the_browser` of runtime/cli starts the server, and
// says in variables where all is.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { launch, logIn, open, picture, visit } from "./page.mjs";

const { CONSOLE, TOKEN, CLIENT_URL, WIREPLUG, BROKEN, MENDED, FATAL, FOLDER } = process.env;

const execute = promisify(execFile);
const url = CLIENT_URL.replace("hybrid://", "tcp://");
const wireplug = (...words) => execute(WIREPLUG, words);

/** A client that joins the chat and stays. */
async function member(name) {
  const words = ["call", url, "chat.chatHandler.join", JSON.stringify({ name }), "--listen"];
  const client = spawn(WIREPLUG, words, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    client.stdout.once("data", resolve);
    client.once("exit", () => reject(new Error("the client has ended")));
  });
  return client;
}

const say = (text) =>
  wireplug("call", url, "chat.chatHandler.join", '{"name":"bob"}', "--then", "chat.chatHandler.send", JSON.stringify({ text }));

test("from a client that joins to a codec that is mended", async () => {
  const browser = await launch();
  const { page, close } = await open(browser, { viewport: { width: 1100, height: 700 } });
  const ann = await member("ann");
  const gone = once(ann, "exit");
  try {
    await logIn(page, CONSOLE, TOKEN);
    await page.getByRole("img", { name: /^Packets: in [\d.]+\/s/ }).waitFor();

    // The session of the client, and its packets.
    await visit(page, "Sessions");
    await page.getByRole("searchbox", { name: "Search" }).fill("ann");
    await page.keyboard.press("Enter");
    const row = page.getByRole("row").filter({ hasText: "ann" });
    await row.getByRole("link").click();
    await page.getByRole("button", { name: "Start the trace" }).click();
    await page.getByText("The trace is on.").waitFor();
    await say("hello ann");
    const records = page.getByRole("region", { name: "Trace" }).getByRole("listitem");
    await page.getByRole("searchbox", { name: "Search the trace" }).fill("hello ann");
    await records.filter({ hasText: "to the client" }).first().waitFor();

    // A codec that fails, on trial.
    await visit(page, "Codecs");
    await page.getByRole("button", { name: "Upload…" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Component").setInputFiles(BROKEN);
    await dialog.getByLabel("Share of a trial, in percent").fill("100");
    await dialog.getByRole("button", { name: "Upload" }).click();
    await page.getByText("Generation 2 is on trial as a canary.").waitFor();
    for (let fault = 0; fault < 3; fault += 1) {
      const echo = wireplug("call", url, "connector.entryHandler.echo", JSON.stringify({ text: FATAL }));
      await assert.rejects(echo, "the codec does not survive it");
    }
    await page.getByText("Rolled back, and refused unless forced").waitFor();
    await page.getByText("canary", { exact: true }).waitFor({ state: "detached" });
    await wireplug("call", url, "connector.entryHandler.echo", JSON.stringify({ text: FATAL }));

    // Why it failed.
    await visit(page, "Closes and faults");
    const fault = page.getByRole("listitem").filter({ hasText: "codec-trap" }).first();
    await fault.getByText("Backtrace").click();
    await fault.getByText("decode").first().waitFor();
    await fault.getByText("the mistake of a test").first().waitFor();
    await picture(page, "fault");
    await visit(page, "Log");
    await page.getByText("the candidate fails: its trial is over").waitFor();

    // The packets before it are a test of it.
    await visit(page, "Closes and faults");
    const save = fault.getByRole("button", { name: "Save as vectors" });
    const [download] = await Promise.all([page.waitForEvent("download"), save.click()]);
    const vectors = join(FOLDER, "fault.vectors");
    await download.saveAs(vectors);
    const fails = ({ stdout, stderr }) => `${stdout}${stderr}`.includes("the mistake of a test");
    await assert.rejects(wireplug("codec", "test", BROKEN, vectors), fails);
    await wireplug("codec", "test", MENDED, vectors);

    // The client is sent away.
    await visit(page, "Sessions");
    await row.getByRole("link").click();
    await page.getByRole("button", { name: "Kick…" }).click();
    await dialog.getByLabel("Reason").fill("this is over");
    await dialog.getByRole("button", { name: "Kick" }).click();
    await page.getByText("The session was kicked.").waitFor();
    await gone;
    await close();
  } finally {
    ann.kill();
    await browser.close();
  }
});
