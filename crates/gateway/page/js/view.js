// What the page shows. The server renders the same elements for clients without JavaScript.

const $ = (id) => document.getElementById(id);
const show = (id, visible) => {
  const element = $(id);
  if (element && element.hidden !== !visible) element.hidden = !visible;
};
const put = (id, text) => {
  const element = $(id);
  if (element && element.textContent !== text) element.textContent = text;
};

// A payment takes time to arrive: what is shown ends this much before the deadline.
const MARGIN = 2000;
const left = (place) => Date.parse(place.deadline) - MARGIN - clock.now();
// A moment of the store's clock, on this device's.
const local = (at) => at - clock.offset;

// What is booked: "Stalls × 2". The name that the page offers, unless it offers none.
const whatText = (booked) => {
  const { item, quantity } = booked || {};
  const name = item?.name && (DATA.items.find((one) => one.name === item.name)?.title || item.name);
  return name ? name + (quantity > 1 ? " × " + quantity : "") : "";
};

const leadText = (view, place) => {
  if (view === "notOpen" && place) return t("notOpen.in");
  const time = view === "turn" && clockText(local(Date.parse(place.deadline) - MARGIN));
  return t(view + ".p", { time });
};

const bigOf = (view, { place, queue }) => {
  if (view === "turn") return { label: t("timeLeft"), text: countdown(left(place)) };
  if (view === "notOpen" && queue?.opensAt) {
    const opens = Date.parse(queue.opensAt);
    const sub = t("at", { time: clockText(local(opens)) });
    return { label: t("opensIn"), text: countdown(opens - clock.now()), sub };
  }
  const position = place?.position;
  return position ? { label: t("position"), text: number(position) } : {};
};

// The part of the way that is done, by the position at which this browser first saw the place.
const progressOf = (place) => {
  if (!place?.position || place.parked) return null;
  const [booking, from] = (kept("from") || "").split(" ");
  const start = booking === place.bookingId ? Number(from) : 0;
  if (start < place.position) {
    kept("from", place.bookingId + " " + place.position);
    return 0;
  }
  return Math.floor(100 * (1 - (place.position - 1) / start));
};

const showFacts = (parts, { place, queue }) => {
  const facts = {
    wait: parts.wait && (place ? waitText(place.wait, place.waitUnknown)
      : queue?.wait && waitText(queue.wait)),
    line: parts.line && queue?.waiting > 0 && number(queue.waiting),
    unsettled: parts.unsettled && place.item?.unsettled > 0 && number(place.item.unsettled),
    chance: parts.chance && place.chance && t(place.chance),
  };
  for (const [name, text] of Object.entries(facts)) {
    show("f-" + name, text);
    if (text) put(name, text);
  }
  show("facts", Object.values(facts).some(Boolean));
};

const showActions = (view, parts, state) => {
  const { place } = state;
  show("join", parts.join && !(view === "notOpen" && place));
  put("join-b", t(view === "join" || view === "notOpen" ? "b.join" : "b.again"));
  show("continue", parts.continue);
  show("leave", parts.leave && place);
  show("takeover", parts.takeover);
  show("keep", parts.keep && place && keptInTab("token"));
  show("sound", parts.sound && place);
  show("home", parts.home);
  for (const button of document.querySelectorAll("#card button")) {
    const busy = Boolean(state.calling);
    if (button.getAttribute("aria-disabled") !== String(busy)) {
      button.setAttribute("aria-disabled", busy);
    }
  }
};

const noteText = (state) => {
  if (state.replaced) return t("replaced");
  if (state.error) return t("error", { reason: state.error });
  if (state.trying) return t("busy");
  return isStale(state) ? t("offline", { time: clockText(state.at) }) : "";
};

// The longest time between two frames.
const silence = ({ every }) => Math.max(15000, 2.5 * every);

// Nothing came for longer than it should, or the stream has been down for some seconds.
const isStale = (state) => {
  const { place, at, downSince, replaced } = state, now = Date.now();
  if (!place || isFinal(place)) return false;
  return replaced || now - at > silence(state) || (downSince > 0 && now - downSince > 3000);
};

const showHead = (view, big, state) => {
  const title = DATA.title;
  if (view === "turn") document.title = `● ${t("turn.h")} ${big.text} · ${title}`;
  else document.title = (view === "waiting" && big.text ? big.text + " · " : "") + title;
  const colour = view === "turn" ? "%2316a34a" : view === "paid" ? "%232563eb" : "%2364748b";
  const icon = "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'>" +
    `<circle cx='8' cy='8' r='7' fill='${colour}'/></svg>`;
  if ($("icon").getAttribute("href") !== icon) $("icon").setAttribute("href", icon);
  document.body.classList.toggle("stale", isStale(state));
};

const render = (state) => {
  const view = viewOf(state, clock.now()), { place } = state;
  const parts = Object.fromEntries(DATA.views[view].map((part) => [part, true]));
  const big = parts.big ? bigOf(view, state) : {};
  $("card").dataset.view = view;
  put("h", t(view + ".h"));
  put("p", leadText(view, place));
  const what = whatText(place || DATA.wanted);
  show("what", what);
  put("what", what);
  show("bigbox", big.text);
  put("biglabel", big.label || "");
  put("big", big.text || "");
  put("bigsub", big.sub || "");
  $("bigbox").classList.toggle("long", (big.text || "").length > 6);
  const done = parts.progress ? progressOf(place) : null;
  show("progress", done !== null);
  if (done !== null) {
    $("bar").value = done;
    put("done", t("progress", { n: done }));
  }
  showFacts(parts, state);
  show("reason", parts.reason && place?.reason);
  put("reason", place?.reason ? t("reason", { reason: place.reason }) : "");
  show("spin", parts.spin);
  showActions(view, parts, state);
  const note = noteText(state);
  show("note", note);
  put("note-text", note);
  show("resume", state.replaced);
  showHead(view, big, state);
  announce(view, big, state);
};

// What a screen reader says: a change of the view at once, the position at most every 30 s, and the
// turn, two minutes and 30 seconds before its end as alerts.
const said = { view: "", status: "", at: 0, alerts: new Set() };
const announce = (view, big, { place }) => {
  const changed = view !== said.view;
  if (view === "turn") {
    const seconds = left(place) / 1000;
    const passed = [[30, "left30"], [120, "left2"], [Infinity, "turn.h"]]
      .filter(([at]) => seconds <= at).map(([, key]) => key);
    // At first the turn itself, also if little time is left.
    const due = changed ? "turn.h" : passed[0];
    if (seconds > 0 && !said.alerts.has(place.bookingId + due)) {
      for (const key of passed) said.alerts.add(place.bookingId + key);
      put("alert", due === "turn.h" ? t(due) + ". " + leadText(view, place) : t(due));
    }
    if (changed) beep();
  } else if (changed) {
    put("alert", "");
  }
  const status = view === "waiting" && place.position
    ? t("say", { n: big.text, wait: waitText(place.wait, place.waitUnknown) })
    : t(view + ".h");
  if (said.view && status !== said.status && (changed || Date.now() - said.at > 30000)) {
    put("status", view === "turn" ? "" : status);
    Object.assign(said, { status, at: Date.now() });
  }
  said.view = view;
};

// One sound, only if it was asked for: browsers allow it after that touch.
let audio;
const beep = () => {
  if (!audio || !$("sound-box").checked) return;
  [0, 0.25, 0.5].forEach((delay, index) => {
    const tone = audio.createOscillator(), volume = audio.createGain(), at = audio.currentTime + delay;
    tone.frequency.value = 523 + 131 * index;
    volume.gain.setValueAtTime(0.2, at);
    volume.gain.exponentialRampToValueAtTime(0.001, at + 0.22);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.25);
  });
};
