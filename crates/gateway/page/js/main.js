// Wires state, stream, tabs and buttons.

const clock = new StoreClock();
const state = {
  queue: DATA.queue, place: DATA.place, unknown: DATA.unknown, at: DATA.place ? Date.now() : 0,
  every: 5000, downSince: 0, busy: "", error: "", trying: false, replaced: false,
};
const draw = () => render(state);

const setPlace = (place) => {
  const other = state.place?.bookingId !== place.bookingId;
  Object.assign(state, { place, unknown: false, at: Date.now(), error: "", loading: false });
  if (other) state.last = "";
  // An open stream is about the place before.
  const open = stream.link;
  follow();
  if (other && open) stream.connect();
  draw();
};
const forget = () => {
  Object.assign(state, { unknown: Boolean(state.place), place: null, loading: false });
  keptInTab("token", null);
  follow();
  draw();
};

// The stream runs in the leading tab while there is a place that may still change.
const follow = () => {
  const wanted = tabs.leads && state.place && !isFinal(state.place) && !state.replaced;
  if (wanted) stream.open();
  else stream.close();
};

const received = (frame, sent) => {
  const now = Date.now();
  if (frame.t === "pong") clock.sample(frame.c, now, frame.now);
  else if (frame.t === "hello" && sent) clock.sample(sent, now, frame.now);
  Object.assign(state, { at: now, downSince: 0 });
  const ended = state.place && isFinal(state.place);
  if (applyFrame(state, frame) === "sync") refresh();
  if (state.place && isFinal(state.place) && !ended) follow();
  draw();
};

const stream = new Stream({
  frame: (frame, sent) => {
    received(frame, sent);
    tabs.post({ k: "frame", frame, offset: clock.offset });
  },
  down: () => {
    state.downSince ||= Date.now();
    tabs.post({ k: "down" });
    draw();
  },
  unknown: () => {
    forget();
    tabs.post({ k: "forget" });
  },
  replaced: () => {
    state.replaced = true;
    follow();
    draw();
  },
});

const tabs = new Tabs({
  lead: follow,
  follow,
  message: (message) => {
    if (message.offset !== undefined && !tabs.leads) clock.offset = message.offset;
    if (message.k === "who" && tabs.leads) {
      const { place, queue, downSince } = state;
      tabs.post({ k: "all", place, queue, downSince, offset: clock.offset });
    } else if (message.k === "frame" && !tabs.leads) received(message.frame, 0);
    else if (message.k === "down" && !tabs.leads) state.downSince ||= Date.now();
    else if (message.k === "forget") forget();
    else if (message.k === "place") setPlace(message.place);
    else if (message.k === "all" && !tabs.leads) {
      Object.assign(state, { queue: message.queue, downSince: message.downSince });
      if (message.place) setPlace(message.place);
    }
    draw();
  },
});

// The snapshot of the own place, repeated until there is an answer. A client without a place learns
// that here.
let again;
const refresh = async () => {
  clearTimeout(again);
  try {
    setPlace(await call("GET", BASE + "/places/me"));
  } catch (problem) {
    if (problem.status === 401 || problem.status === 404) forget();
    else again = setTimeout(refresh, problem.after || backOff(3));
  }
};

const gained = ({ place, token }) => {
  if (token) keptInTab("token", token);
  setPlace(place);
  tabs.post({ k: "place", place });
};

// Joins; repeats with the same key until there is an answer, also after a reload.
const join = async () => {
  if (state.busy) return;
  const request = JSON.parse(kept("join") || "null") || { key: uuid(), body: wanted() };
  kept("join", JSON.stringify(request));
  Object.assign(state, { busy: "joining", error: "" });
  draw();
  let challenge;
  for (let n = 1; state.busy; n++) {
    try {
      const headers = { "idempotency-key": request.key };
      const body = { ...request.body, ...(challenge && { challenge }) };
      gained(await call("POST", BASE + "/places", { body, headers }));
      break;
    } catch (problem) {
      challenge = null;
      if (problem.reason === "CHALLENGE_REQUIRED") {
        Object.assign(state, { busy: "challenge", trying: false });
        draw();
        challenge = await solve(problem.body.challenge).catch(() => pause(backOff(n)));
      } else if (problem.passing) {
        state.trying = true;
        draw();
        await pause(problem.after || backOff(n));
      } else {
        state.error = problem.message;
        break;
      }
    }
  }
  kept("join", null);
  Object.assign(state, { busy: "", trying: false });
  draw();
};

// What is joined for: from the page's address, or chosen in the form.
const wanted = () => {
  const form = new FormData($("join")), body = {};
  for (const name of ["item", "returnUrl"]) if (form.get(name)) body[name] = form.get(name);
  if (form.get("quantity")) body.quantity = Number(form.get("quantity"));
  const token = keptInTab("enqueue");
  if (token) body.enqueueToken = token;
  return body;
};

// A call of a button: once at a time, its refusal is shown.
const once = async (action) => {
  if (state.calling) return;
  Object.assign(state, { calling: true, error: "" });
  draw();
  try {
    await action();
  } catch (problem) {
    state.error = problem.message;
    if (problem.status) await refresh();
  }
  state.calling = false;
  draw();
};

const leave = () => once(async () => {
  const place = await call("DELETE", BASE + "/places/me");
  setPlace(place);
  tabs.post({ k: "place", place });
});

// The pass goes to the seller in the body of a form, never in an address.
const goOn = () => once(async () => {
  const { pass, continueUrl } = await call("POST", BASE + "/places/me/pass", { body: {} });
  if (!continueUrl) throw new Problem(0, { detail: "no payment address" });
  const form = document.createElement("form");
  const field = document.createElement("input");
  Object.assign(form, { method: "post", action: continueUrl });
  Object.assign(field, { type: "hidden", name: "pass", value: pass });
  form.append(field);
  document.body.append(form);
  form.submit();
});

const takeOver = (token) => once(async () => {
  gained({ place: await call("PUT", BASE + "/places/me", { body: { token } }), token });
});

const onSubmit = (id, action) => $(id).addEventListener("submit", (event) => {
  event.preventDefault();
  action();
});
onSubmit("join", join);
onSubmit("continue", goOn);
onSubmit("leave", () => {
  $("leave").open = false;
  leave();
});
$("keep-b").addEventListener("click", async () => {
  const link = `${location.origin}${location.pathname}#place=${keptInTab("token")}`;
  try {
    await navigator.clipboard.writeText(link);
    put("keep-p", t("keep.done"));
  } catch {
    put("keep-p", link);
  }
});
$("sound-box").addEventListener("change", (event) => {
  if (event.target.checked) audio ||= new AudioContext();
});
const resume = () => {
  if (!state.replaced) return;
  state.replaced = false;
  follow();
};
$("resume").addEventListener("click", () => { resume(); draw(); });

// What came in the fragment is never sent, and leaves the address at once.
const fragment = new URLSearchParams(location.hash.slice(1));
if (location.hash) history.replaceState(null, "", location.pathname + location.search);
if (fragment.get("enqueue")) keptInTab("enqueue", fragment.get("enqueue"));
const offered = fragment.get("place");
// A link that is opened in the tab of the page loads nothing by itself.
onhashchange = () => location.hash && location.reload();
$("use-b").addEventListener("click", () => { state.busy = ""; takeOver(offered); });
$("mine-b").addEventListener("click", () => { state.busy = ""; draw(); });

const wake = () => {
  if (document.hidden) return;
  clock.reset();
  resume();
  if (tabs.leads) stream.wake();
  else tabs.check();
  draw();
};
document.addEventListener("visibilitychange", wake);
addEventListener("pageshow", (event) => event.persisted && wake());
addEventListener("online", wake);
addEventListener("offline", () => { state.downSince ||= Date.now(); draw(); });

// The queue, for a client without a place.
const watchQueue = async () => {
  if (!state.place && !document.hidden) {
    state.queue = await call("GET", BASE).catch(() => state.queue);
    draw();
  }
  setTimeout(watchQueue, 30000 + Math.random() * 10000);
};

document.documentElement.classList.add("js");
setInterval(() => {
  if (!document.hidden || state.place?.state === "reserved") draw();
  if (!state.place || isFinal(state.place) || Date.now() - state.at < silence(state)) return;
  if (!tabs.leads) tabs.check();
  else if (stream.up) stream.wake();
}, 1000);
tabs.start();
if (!state.queue) watchQueue();
else setTimeout(watchQueue, 30000);
if (kept("join")) join();
else if (offered && state.place && !isFinal(state.place)) state.busy = "takeover";
else if (offered) takeOver(offered);
else if (DATA.named && !state.place && !state.unknown) {
  state.loading = true;
  refresh();
}
draw();
