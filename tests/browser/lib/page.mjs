// What a test reads from the page, and does with it.

import { sleep } from "./stack.mjs";

export const view = (page) => page.evaluate(() => document.querySelector("#card")?.dataset.view);
export const shows = (page, name, seconds = 15) =>
  page.waitForFunction((name) => document.querySelector("#card")?.dataset.view === name, name, { timeout: seconds * 1000 });
export const position = async (page) =>
  Number((await page.textContent("#big")).replace(/\D/g, "")) || 0;
export const showsPosition = (page, expected, seconds = 15) =>
  page.waitForFunction((expected) => document.querySelector("#big").textContent === String(expected), expected,
    { timeout: seconds * 1000 });
export const isStale = (page) => page.evaluate(() => document.body.classList.contains("stale"));

// Opens the queue's page and joins.
export const join = async (page, stack, queue, query = "") => {
  await page.goto(`${stack.url}/q/${queue}?lang=en${query}`);
  await shows(page, "join");
  await page.click("#join-b");
  await page.waitForFunction(() => !["join", "joining", "challenge"].includes(document.querySelector("#card").dataset.view));
};

// Counts the requests of a page, by path without the origin.
export const requests = (page) => {
  const seen = [];
  page.on("request", (request) => seen.push(`${request.method()} ${new URL(request.url()).pathname}`));
  page.on("websocket", (socket) => seen.push(`SOCKET ${new URL(socket.url()).pathname}`));
  return seen;
};

// Sees that something stays so for some time.
export const stays = async (what, check, ms) => {
  const end = Date.now() + ms;
  while (Date.now() < end) {
    if (!(await check())) throw new Error(`did not stay: ${what}`);
    await sleep(100);
  }
};
