// The whole way in a browser: join, wait, pay, done; and every other end.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { launch, violations } from "./lib/browser.mjs";
import { join, position, requests, shows, showsPosition, view } from "./lib/page.mjs";
import { Stack, until } from "./lib/stack.mjs";

const shots = new URL("../../target/browser/", import.meta.url).pathname;
let stack, browser;
before(async () => {
  const queues = {
    concert: { stock: 1000 },
    brief: { stock: 1000, hold: "5s" },
    line: { page: { items: [{ name: "line", title: "Standing", maxQuantity: 4 }] } },
  };
  [stack, browser] = await Promise.all([Stack.start(queues), launch()]);
});
after(async () => {
  await browser?.close();
  stack?.stop();
});

const newPage = async (options) => (await browser.newContext({ viewport: { width: 390, height: 844 }, ...options })).newPage();
const backTo = (queue) => "&returnUrl=" + encodeURIComponent(`${stack.checkout}/${queue}`);

describe("the way to the payment", () => {
  test("join, wait, pay, done", async () => {
    stack.admission("concert", "paused");
    await stack.joinOther("concert");
    const page = await newPage(), problems = [];
    page.on("console", (line) => line.type() === "error" && problems.push(line.text()));
    await join(page, stack, "concert", "&item=concert&quantity=2" + backTo("concert"));
    await shows(page, "paused");
    assert.equal(await position(page), 2);
    assert.match(await page.textContent("#what"), /concert × 2/);
    stack.admission("concert", "open");
    await shows(page, "turn");
    assert.match(await page.title(), /^● It is your turn/);
    assert.match(await page.textContent("#alert"), /It is your turn/);
    const left = (await page.textContent("#big")).split(":").map(Number);
    assert.ok(left[0] === 4 && left[1] > 30, left.join(":"));
    await page.click("#continue button");
    await page.waitForURL(`${stack.checkout}/concert`);
    assert.ok(!page.url().includes("pass"), "the pass is not in the address");
    assert.match(await page.textContent("main"), /Pay for your booking/);
    assert.deepEqual(await violations(page), []);
    await page.screenshot({ path: shots + "checkout-390.png" });
    await page.click("#pay button");
    await page.waitForSelector("text=Paid. Thank you!");
    await page.screenshot({ path: shots + "checkout-paid-390.png" });
    await page.click("text=Back to the queue");
    await shows(page, "paid");
    assert.deepEqual(problems, []);
  });

  test("without a payment the reservation expires, and joining again gives a new place", async () => {
    const page = await newPage();
    await join(page, stack, "brief");
    await shows(page, "turn");
    await shows(page, "expired", 20);
    await page.click("#join-b");
    await shows(page, "turn");
  });

  test("leaving asks first, gives the place up, and is final after a reload", async () => {
    stack.admission("line", "paused");
    const page = await newPage();
    await page.goto(`${stack.url}/q/line?lang=en`);
    await page.selectOption("select[name=item]", "line");
    await page.fill("input[name=quantity]", "3");
    await page.click("#join-b");
    await shows(page, "paused");
    assert.match(await page.textContent("#what"), /Standing × 3/);
    assert.equal(await page.isVisible("#leave form button"), false);
    await page.click("#leave summary");
    await page.click("#leave form button");
    await shows(page, "cancelled");
    await page.reload();
    await shows(page, "cancelled");
  });
});

describe("a place", () => {
  test("survives a reload, a closed tab and a lost answer to the join", async () => {
    stack.admission("line", "paused");
    const page = await newPage();
    let lost = 0;
    // The booking is made, but its answer is lost, and the page is reloaded.
    await page.route("**/v1/queues/line/places", async (route) => {
      await route.fetch();
      lost++;
      await route.abort();
    });
    await page.goto(`${stack.url}/q/line?lang=en`);
    await page.click("#join-b");
    await until("the answer was lost", () => lost > 0);
    await page.unroute("**/v1/queues/line/places");
    await page.reload();
    await shows(page, "paused");
    const before = await position(page), context = page.context();
    await page.close();
    const again = await context.newPage();
    await again.goto(`${stack.url}/q/line?lang=en`);
    await shows(again, "paused");
    assert.equal(await position(again), before);
    const { place } = await stack.joinOther("line");
    assert.equal(place.position, before + 1, "one booking, not two");
  });

  test("moves to another browser by a link, which leaves the address at once", async () => {
    stack.admission("line", "paused");
    const page = await newPage();
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"], { origin: stack.url });
    await join(page, stack, "line");
    const before = await position(page);
    await page.click("#keep-b");
    await page.waitForFunction(() => document.querySelector("#keep-p").textContent.includes("Copied"));
    const link = await page.evaluate(() => navigator.clipboard.readText());
    const other = await newPage(), queries = [];
    other.on("request", (request) => queries.push(new URL(request.url()).search));
    await other.goto(link);
    await shows(other, "paused");
    assert.equal(await position(other), before);
    assert.ok(!other.url().includes("#"), other.url());
    assert.ok(queries.length > 0 && queries.every((query) => !query.includes("place=")), queries.join());
    // A browser that has a place is asked before it gives that up.
    const third = await newPage();
    await join(third, stack, "line");
    await third.goto(link);
    await shows(third, "takeover");
    await third.click("#mine-b");
    assert.equal(await position(third), before + 1);
    // In its own tab the link changes the fragment only, and loads nothing.
    await third.evaluate((hash) => { location.hash = hash; }, new URL(link).hash);
    await shows(third, "takeover");
    assert.ok(!third.url().includes("#"), third.url());
    await third.click("#use-b");
    await third.waitForFunction((expected) => document.querySelector("#big").textContent === expected, String(before));
  });

  test("that the queue does not know offers to join again", async () => {
    const page = await newPage();
    await page.context().addCookies([{ name: "bq-concert", value: "a.b.c", url: stack.url }]);
    const seen = requests(page);
    await page.goto(`${stack.url}/q/concert?lang=en`);
    await shows(page, "unknown");
    assert.ok(seen.length <= 3, seen.join());
  });

  test("of a flooded network is joined after a challenge", async () => {
    const page = await newPage();
    let tries = 0, solution;
    await page.route("**/v1/queues/concert/places", (route) => {
      if (tries++ === 0) {
        const challenge = { seed: "abc", difficulty: 14 };
        return route.fulfill({ status: 429, json: { reason: "CHALLENGE_REQUIRED", challenge } });
      }
      const { challenge, ...body } = route.request().postDataJSON();
      solution = challenge;
      return route.continue({ postData: JSON.stringify(body) });
    });
    await join(page, stack, "concert");
    assert.equal(solution.seed, "abc");
    assert.match(solution.nonce, /^\d+$/);
  });
});

describe("without JavaScript", () => {
  test("a client joins, sees its position, updates, leaves", async () => {
    stack.admission("line", "paused");
    const page = await newPage({ javaScriptEnabled: false });
    await page.goto(`${stack.url}/q/line?lang=en`);
    await page.click("#join-b");
    assert.match(await page.textContent("h1"), /paused/);
    const before = await position(page);
    assert.ok(before > 0);
    await page.click("form.nojs button");
    assert.equal(await position(page), before);
    assert.equal(await page.isVisible("#note"), false);
    await page.click("#leave summary");
    await page.click("#leave form button");
    assert.match(await page.textContent("h1"), /left the queue/);
  });

  test("a client pays", async () => {
    const page = await newPage({ javaScriptEnabled: false });
    stack.admission("concert", "open");
    await page.goto(`${stack.url}/q/concert?lang=en${backTo("concert")}`);
    await page.click("#join-b");
    await until("it is its turn", async () => {
      await page.reload();
      return /your turn/.test(await page.textContent("h1"));
    });
    assert.match(await page.textContent("#big"), /^\d+:\d\d$/);
    await page.click("#continue button");
    await page.click("section form button");
    await page.waitForURL(`${stack.checkout}/concert`);
    await page.click("#pay button");
    assert.match(await page.textContent("h1"), /Paid/);
  });

  test("a wrong form says what is wrong", async () => {
    const page = await newPage({ javaScriptEnabled: false });
    await page.goto(`${stack.url}/q/concert?lang=en&item=concert&quantity=1000`);
    await page.click("#join-b");
    assert.match(await page.textContent("#note"), /quantity/);
  });
});
