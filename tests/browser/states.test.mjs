// Every state in English, and nearly every one in the other languages: the right view, no violation of WCAG 2.2 AA, nothing wider than the
// screen, nothing that the policy blocks. Screenshots go to target/browser/.

import assert from "node:assert/strict";
import { mkdirSync, readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { launch, SIZES, violations } from "./lib/browser.mjs";
import { mock, open } from "./lib/mock.mjs";
import { Stack } from "./lib/stack.mjs";
import { STATES } from "./lib/states.mjs";

const shots = new URL("../../target/browser/", import.meta.url).pathname;
const folder = new URL("../../crates/gateway/page/strings/", import.meta.url);
const ALL = readdirSync(folder).map((file) => file.replace(".json", ""));
const LANGUAGES = process.env.LANGUAGES ? process.env.LANGUAGES.split(",") : ALL;
// English in every size; the other languages in one, where long words hurt most, and without the
// states that only cost time.
const SLOW = ["offline", "challenge", "loading"];
const SHOWN = ["en", "de", "ar", "ja"];
const RUNS = LANGUAGES.flatMap((lang) => (lang === "en" ? SIZES : [SIZES[0]]).map((size) => [lang, size]));

let stack, browser;
before(async () => {
  mkdirSync(shots, { recursive: true });
  [stack, browser] = await Promise.all([Stack.start({ concert: {} }), launch()]);
});
after(async () => {
  await browser?.close();
  stack?.stop();
});

const check = async (name, lang, size) => {
  // A context of its own: storage and locks are shared within one.
  const { viewport, colorScheme } = size;
  const context = await browser.newContext({ viewport, colorScheme });
  const state = STATES[name], page = await context.newPage(), problems = [];
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  page.on("console", (line) => line.text().includes("Content Security") && problems.push(line.text()));
  await mock(page, state);
  await open(page, `${stack.url}/q/concert?lang=${lang}`, state);
  const view = state.view ?? name;
  await page.waitForFunction((view) => document.querySelector("#card").dataset.view === view, view, { timeout: 5000 });
  const seen = await page.evaluate(() => ({
    lang: document.documentElement.lang, over: document.documentElement.scrollWidth - innerWidth,
    heading: document.querySelector("h1").textContent,
  }));
  assert.equal(seen.lang, lang);
  if (seen.over > 0) problems.push(`${seen.over} pixels wider than the screen`);
  problems.push(...(await violations(page)));
  if (SHOWN.includes(lang)) {
    await page.screenshot({ path: `${shots}${name}-${lang}-${size.name}.png`, fullPage: true });
  }
  await context.close();
  return problems.map((problem) => `${name} ${lang} ${size.name}: ${problem}`);
};

describe("every state", { concurrency: 2 }, () => {
  for (const [lang, size] of RUNS) {
    test(`in ${lang}, ${size.name}`, async () => {
      const problems = [];
      const names = Object.keys(STATES).filter((name) => lang === "en" || !SLOW.includes(name));
      for (const name of names) problems.push(...(await check(name, lang, size)));
      assert.deepEqual(problems, []);
    });
  }
});
