// The console with a real server. The test `in_the_browser` of runtime/cli starts
// the server, and says in variables where all is.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { promisify } from "node:util";
import { launch, logIn, open, picture, visit } from "./page.mjs";

const { CONSOLE, TOKEN, CLIENT_URL, WIREPLUG, BROKEN, FATAL } = process.env;

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

test("from a client that joins to a codec that fails", async () => {
  const browser = await launch();
  const { page, close } = await open(browser, { viewport: { width: 1100, height: 700 } });
  const ann = await member("ann");
  const gone = once(ann, "exit");
  try {
    await logIn(page, CONSOLE, TOKEN);

    // The session of the client, and its packets.
    await visit(page, "Sessions");
    await page.getByRole("searchbox", { name: "Search" }).fill("ann");
    await page.keyboard.press("Enter");
    const row = page.getByRole("row").filter({ hasText: "ann" });
    await row.getByRole("link").click();
    await page.getByText("127.0.0.1:").first().waitFor();
    await page.getByText("chat", { exact: true }).waitFor();

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
