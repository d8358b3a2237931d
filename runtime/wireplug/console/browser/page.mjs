// Chromium, and what all tests in it do.

import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

export const PHONE = { width: 390, height: 844 };

/** Starts Debian's Chromium, or the one that `CHROMIUM` names. */
export function launch() {
  const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
  // Root has no sandbox of Chromium. The pages are this project's own.
  return chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ["--no-sandbox"] : [] });
}

/** Opens a page on which no error may happen: neither of a script, nor of the security policy. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 800 }, ...options });
  const page = await context.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    // Chromium reports each refused request, which the tests ask for.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) errors.push(message.text());
  });
  const close = async () => {
    await context.close();
    assert.deepEqual(errors, []);
  };
  return { page, context, close };
}

export async function logIn(page, url, token) {
  await page.goto(url);
  await page.getByLabel("Token of the control API").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
}

export const visit = (page, name) => page.getByRole("link", { name, exact: true }).click();

/** A picture for the documentation, if this run is to make them: `PICTURES` is their folder. */
export async function picture(page, name) {
  const { PICTURES } = process.env;
  if (!PICTURES) return;
  await mkdir(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `console-${name}.png`) });
}
