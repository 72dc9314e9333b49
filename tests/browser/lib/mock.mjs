// The gateway's real page, style and policy, with a fixed state instead of the API.

const ISLAND = /(<script type="application\/json" id="now">)[^]*?(<\/script>)/;

// Answers everything that the page asks for by `state`, one of STATES.
export const mock = async (page, state) => {
  const island = { queue: state.queue, place: state.place ?? null, unknown: Boolean(state.unknown), named: Boolean(state.slow) };
  await page.route("**/q/concert*", async (route) => {
    const answer = await route.fetch();
    const body = (await answer.text()).replace(ISLAND, (_, open, close) => open + JSON.stringify(island) + close);
    await route.fulfill({ response: answer, body });
  });
  const json = (path, answer) => page.route("**/v1/queues/concert" + path, answer);
  const hello = { t: "hello", v: 1, now: Date.now(), e: "e1", id: "1-1", b: state.place,
    q: { n: state.queue.waiting, adm: state.queue.admission }, ka: 25000 };
  await json("", (route) => route.fulfill({ json: state.queue }));
  await json("/places/me", (route) => {
    if (state.slow) return;
    if (state.place) route.fulfill({ json: state.place });
    else route.fulfill({ status: 401, json: { reason: "PLACE_REQUIRED" } });
  });
  await json("/places", (route) => {
    const challenge = { seed: "abc", difficulty: state.challenge };
    route.fulfill({ status: 429, json: { reason: "CHALLENGE_REQUIRED", challenge } });
  });
  await json("/events", (route) => route.abort());
  await page.routeWebSocket(/\/socket$/, (socket) => state.cut || socket.send(JSON.stringify(hello)));
};

// Opens the page in `state`, and brings it there.
export const open = async (page, url, state) => {
  await page.goto(url + (state.hash ?? ""));
  if (state.press) await page.click(`#${state.press} button`);
  if (state.cut) {
    await page.evaluate(() => dispatchEvent(new Event("offline")));
    await page.waitForFunction(() => document.body.classList.contains("stale"), null, { timeout: 6000 });
  }
};
