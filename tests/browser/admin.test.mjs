// The operators' page: its figures, what it shows when something is wrong, and no violation of WCAG
// 2.2 AA at any size. Screenshots go to target/browser/.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { launch, SIZES, violations } from "./lib/browser.mjs";
import { FIGURES } from "./lib/figures.mjs";
import { Stack, until } from "./lib/stack.mjs";

const shots = new URL("../../target/browser/", import.meta.url).pathname;

let stack, browser;
before(async () => {
  mkdirSync(shots, { recursive: true });
  [stack, browser] = await Promise.all([Stack.start({ concert: {} }), launch()]);
});
after(async () => {
  await browser?.close();
  stack?.stop();
});

const open = async (size, route) => {
  const context = await browser.newContext({ viewport: size.viewport, colorScheme: size.colorScheme });
  const page = await context.newPage(), problems = [];
  page.on("pageerror", (error) => problems.push(`script: ${error.message}`));
  page.on("console", (line) => line.text().includes("Content Security") && problems.push(line.text()));
  if (route) {
    await page.route("**/admin/events", route);
    await page.clock.install();
  }
  await page.goto(`http://127.0.0.1:${stack.ports.admin}/admin`);
  return { context, page, problems };
};
const text = (page, field) => page.textContent(`#queues [data-f=${field}]`);

describe("fixed figures", { concurrency: 2 }, () => {
  for (const size of SIZES) {
    test(size.name, async () => {
      for (const [name, [count, reading]] of Object.entries(FIGURES)) {
        const all = Array.from({ length: count }, (_, i) => reading(i));
        const events = all.map((figures) => `data: ${JSON.stringify(figures)}\n\n`).join("");
        let asked = 0;
        // The first connection brings all events and ends; no other one is answered.
        const answer = (route) => (asked++ ? route.abort()
          : route.fulfill({ contentType: "text/event-stream", body: "retry: 60000\n\n" + events }));
        const { context, page, problems } = await open(size, answer);
        const shown = (count) => document.querySelector("#queues polyline")?.points.length === count;
        await page.waitForFunction(shown, count);
        assert.equal(await page.textContent("#state"), "Live");
        if (name === "silent") {
          await page.clock.runFor(5000);
          assert.equal(await page.textContent("#state"), "The gateway does not answer");
          await until("the page connects again", () => asked > 1);
        }
        const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (over > 0) problems.push(`${over} pixels wider than the screen`);
        problems.push(...(await violations(page)));
        await page.screenshot({ path: `${shots}admin-${name}-${size.name}.png`, fullPage: true });
        const alerts = await page.$$eval("#queues [data-f=alert]:not([hidden])", (all) => all.map((one) => one.textContent));
        const expected = name === "wrong" ? ["No worker answers. The figures below are old.",
          "Nothing has arrived from the workers for 9 s: clients see old positions."] : [];
        assert.deepEqual(alerts, expected, name);
        assert.equal(await page.isVisible("#gateway [data-f=draining]"), name === "wrong", name);
        await context.close();
        assert.deepEqual(problems, [], name);
      }
    });
  }
});

test("the figures are those of the sale, and what fails is shown", async () => {
  stack.admission("concert", "paused");
  for (let i = 0; i < 3; i++) await stack.joinOther("concert");
  const { page, problems } = await open(SIZES[2]);
  await until("three wait", async () => (await text(page, "waiting")) === "3");
  await until("paused", async () => (await text(page, "admission")) === "paused");
  assert.equal(await text(page, "wait"), "unknown");
  assert.equal(await text(page, "expected"), "paused");
  assert.equal(await page.textContent("#state"), "Live");

  for (const name of ["worker-concert", "sweeper-concert"]) await stack.kill(name);
  await until("no worker answers", async () => (await text(page, "alert")).startsWith("No worker answers"));
  assert.equal(await text(page, "waiting"), "3", "the last figures stay");
  await stack.kill("gateway");
  await until("stale", () => page.evaluate(() => document.body.classList.contains("stale")));
  assert.equal(await page.textContent("#state"), "The gateway does not answer");
  stack.gateway();
  stack.worker("concert");
  await stack.ready();
  await until("live again", async () => (await page.textContent("#state")) === "Live" && (await text(page, "alert")) === "");
  assert.deepEqual(problems, []);
});

test("a page that is refused says why, and is live when another one is closed", async () => {
  const events = `http://127.0.0.1:${stack.ports.admin}/admin/events`;
  const others = await Promise.all(Array.from({ length: 32 }, () => fetch(events)));
  const { page, problems } = await open(SIZES[2]);
  await until("the refusal", async () => (await page.textContent("#state")).startsWith("32 pages are open"));
  for (const other of others) await other.body.cancel();
  await until("live", async () => (await page.textContent("#state")) === "Live");
  assert.deepEqual(problems, []);
});

test("the public port has neither the page nor its figures", async () => {
  for (const path of ["/admin", "/admin/", "/admin/data", "/admin/events", "/metrics"]) {
    assert.equal((await fetch(stack.url + path)).status, 404, path);
  }
});
