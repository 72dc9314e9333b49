// How the page stays up to date: sockets, what replaces them, sleep, many tabs, wrong clocks.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { launch } from "./lib/browser.mjs";
import { isStale, join, position, requests, shows, showsPosition, stays, view } from "./lib/page.mjs";
import { Stack, sleep, until } from "./lib/stack.mjs";

let stack, browser;
before(async () => {
  const queues = { concert: {}, tabs: {}, sleep: {} };
  [stack, browser] = await Promise.all([Stack.start(queues), launch()]);
  for (const queue of Object.keys(queues)) stack.admission(queue, "paused");
});
after(async () => {
  await browser?.close();
  stack?.stop();
});
// A page that stays would open its stream again while another test counts.
afterEach(() => Promise.all(browser.contexts().map((context) => context.close())));

const newPage = async (options) => (await browser.newContext(options)).newPage();
const streams = () => stack.metric("bookingqueue_gateway_connections{");

// Takes the client before the page out of the line, and sees the position change.
const moves = async (page, queue, ahead, seconds = 15) => {
  const before = await position(page);
  await fetch(`${stack.url}/v1/queues/${queue}/places/me`, {
    method: "DELETE", headers: { authorization: `Bearer ${ahead.token}` },
  });
  await showsPosition(page, before - 1, seconds);
};

describe("the stream", () => {
  test("is a WebSocket, and its ticks move the position", async () => {
    const ahead = await stack.joinOther("concert");
    const page = await newPage(), seen = requests(page);
    await join(page, stack, "concert");
    await moves(page, "concert", ahead);
    assert.ok(seen.includes("SOCKET /v1/queues/concert/socket"), seen.join());
    assert.ok(!seen.some((one) => one.includes("/events") || one === "GET /v1/queues/concert/places/me"), seen.join());
  });

  test("is server-sent events within 10 s where WebSockets do not work", async () => {
    const ahead = await stack.joinOther("concert");
    const page = await newPage(), seen = requests(page);
    // A proxy that accepts the connection and lets nothing through.
    await page.routeWebSocket(/\/socket$/, () => {});
    await join(page, stack, "concert");
    await until("events are open", () => seen.includes("GET /v1/queues/concert/events"), 10);
    await moves(page, "concert", ahead);
  });

  test("is polling within 20 s where neither works", async () => {
    const ahead = await stack.joinOther("concert");
    const page = await newPage(), seen = requests(page);
    await page.routeWebSocket(/\/socket$/, () => {});
    await page.route("**/events", () => {});
    await join(page, stack, "concert");
    await until("it polls", () => seen.includes("GET /v1/queues/concert/places/me"), 20);
    await moves(page, "concert", ahead);
  });

  test("reads the place until it gets it when it has missed something", async () => {
    await stack.joinOther("concert");
    const page = await newPage(), seen = requests(page);
    let socket, failures = 2;
    await page.routeWebSocket(/\/socket$/, (route) => { socket = route; route.connectToServer(); });
    await page.route("**/places/me", (route) => (failures-- > 0 ? route.fulfill({ status: 503, json: {} }) : route.fallback()));
    await join(page, stack, "concert");
    await until("the stream is open", () => socket);
    await until("a position", () => position(page));
    socket.send(JSON.stringify({ t: "b", id: "99999999999999-0", st: "reserved", bk: "of a newer booking" }));
    const reads = () => seen.filter((one) => one === "GET /v1/queues/concert/places/me").length;
    await until("the third reading", () => reads() === 3, 60);
  });

  test("comes back after the gateway was killed; stale is shown as stale, and the place is the same", async () => {
    const ahead = await stack.joinOther("concert");
    const page = await newPage();
    await join(page, stack, "concert");
    const before = await position(page);
    await stack.kill("gateway");
    await page.waitForFunction(() => document.body.classList.contains("stale"), null, { timeout: 10000 });
    assert.match(await page.textContent("#note"), /No connection/);
    assert.equal(await position(page), before);
    stack.gateway();
    await stack.ready();
    await page.waitForFunction(() => !document.body.classList.contains("stale"), null, { timeout: 60000 });
    await moves(page, "concert", ahead);
  });
});

describe("a page that slept", () => {
  test("shows the true position at most 3 s after it wakes", async () => {
    const ahead = await stack.joinOther("sleep");
    const page = await newPage();
    await join(page, stack, "sleep");
    const before = await position(page);
    const session = await page.context().newCDPSession(page);
    await session.send("Page.setWebLifecycleState", { state: "frozen" });
    await fetch(`${stack.url}/v1/queues/sleep/places/me`, {
      method: "DELETE", headers: { authorization: `Bearer ${ahead.token}` },
    });
    await sleep(3000);
    await session.send("Page.setWebLifecycleState", { state: "active" });
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await showsPosition(page, before - 1, 3);
  });

  test("without a network says so, and updates when it is back", async () => {
    const ahead = await stack.joinOther("sleep");
    const page = await newPage();
    await join(page, stack, "sleep");
    await page.context().setOffline(true);
    await page.waitForFunction(() => document.body.classList.contains("stale"), null, { timeout: 10000 });
    await page.context().setOffline(false);
    await page.waitForFunction(() => !document.body.classList.contains("stale"), null, { timeout: 5000 });
    await moves(page, "sleep", ahead);
  });
});

describe("ten tabs", () => {
  test("hold one stream, all of them move, and another one takes over within 2 s", async () => {
    const [first, second] = [await stack.joinOther("tabs"), await stack.joinOther("tabs")];
    const context = await browser.newContext(), pages = [];
    const others = await streams();
    for (let n = 0; n < 10; n++) pages.push(await context.newPage());
    await join(pages[0], stack, "tabs");
    await Promise.all(pages.slice(1).map((page) => page.goto(`${stack.url}/q/tabs?lang=en`)));
    await Promise.all(pages.map((page) => shows(page, "paused")));
    await until("one stream", async () => (await streams()) === others + 1);
    await stays("one stream", async () => (await streams()) === others + 1, 1500);
    await moves(pages[0], "tabs", first);
    await Promise.all(pages.map((page) => showsPosition(page, 2, 3)));
    await pages[0].close();
    await until("one stream again", async () => (await streams()) === others + 1, 2);
    await moves(pages[1], "tabs", second);
    await Promise.all(pages.slice(1).map((page) => showsPosition(page, 1, 3)));
  });
});

describe("a device's clock", () => {
  for (const hours of [1, -1]) {
    test(`that is ${hours} h off changes the time left by less than 2 s`, async () => {
      const page = await newPage();
      await page.addInitScript((ms) => {
        const real = Date.now.bind(Date);
        Date.now = () => real() + ms;
      }, hours * 3_600_000);
      await join(page, stack, "sleep");
      stack.admission("sleep", "open");
      await shows(page, "turn");
      const { deadline, now } = await page.evaluate(async () =>
        (await fetch("/v1/queues/sleep/places/me")).json());
      const [minutes, seconds] = (await page.textContent("#big")).split(":").map(Number);
      const expected = (Date.parse(deadline) - Date.parse(now)) / 1000 - 2;
      assert.ok(Math.abs(minutes * 60 + seconds - expected) < 2, `${minutes}:${seconds}, not ${expected}`);
    });
  }
});
