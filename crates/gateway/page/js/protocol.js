// Protocol 1 as pure functions. tests/browser/protocol.test.mjs runs them on the vectors of crates/core.

// The position of a queue number: [first number, its position, the last position of the segment].
// It is never smaller than the true one.
const positionIn = ([first, from, to], number) =>
  Math.max(1, Math.min(from + number - first, to));

// The wait at a position, between those at both ends of its segment, or at the end of the line.
const waitIn = ([, from, to], [low0, high0, low1, high1], position, waiting = to) => {
  const last = Math.min(to, waiting);
  const part = last > from ? Math.min(1, (position - from) / (last - from)) : 0;
  return { low: low0 + (low1 - low0) * part, high: high0 + (high1 - high0) * part };
};

// Whether the sequence "MS-NUMBER" is newer.
const newer = (id, than) => {
  if (!id || !than) return true;
  const [ms, number] = id.split("-").map(Number), [ms0, number0] = than.split("-").map(Number);
  return ms > ms0 || (ms === ms0 && number > number0);
};

const FINAL = ["confirmed", "expired", "cancelled", "sold_out", "rejected", "failed"];
const isFinal = (place) => FINAL.includes(place.state);

// Full jitter; `n` failures came before.
const backOff = (n, random = Math.random) => random() * Math.min(30000, 1000 * 2 ** n);

// The store's clock, by the smallest round trip.
class StoreClock {
  offset = 0;
  best = Infinity;
  sample(sent, received, server) {
    const trip = received - sent;
    if (trip < 0 || trip > this.best) return;
    this.best = trip;
    this.offset = server - (sent + received) / 2;
  }
  // The device slept, or its clock was set: older samples say nothing.
  reset() {
    this.best = Infinity;
  }
  now() {
    return Date.now() + this.offset;
  }
}

// Applies a frame to the state. Returns "sync" if a snapshot is needed.
const applyFrame = (state, frame) => {
  const place = state.place;
  if (frame.t === "hello") {
    state.last = frame.id;
    state.epoch = frame.e;
    // The first tick comes within the interval of the place (crates/gateway/src/segments.rs).
    state.every = frame.b?.position > 3e5 ? 60000 : 15000;
    if (frame.q) state.queue = { ...state.queue, waiting: frame.q.n, admission: frame.q.adm };
    if (frame.b) state.place = frame.b;
  } else if (frame.t === "k") {
    state.every = frame.i;
    state.queue = { ...state.queue, waiting: frame.n, admission: frame.adm };
    if (!place || place.state !== "queued" || place.parked) return;
    if (frame.s) {
      // A tick bounds the position, and the snapshot was exact. It grows only as far as it must:
      // when parked bookings return ahead.
      place.position = Math.max(frame.s[1], Math.min(place.position || Infinity, positionIn(frame.s, place.number)));
      place.wait = frame.w ? waitIn(frame.s, frame.w, place.position, frame.n) : null;
    } else {
      place.wait = null;
    }
    place.waitUnknown = place.wait ? null : frame.wu || "noData";
  } else if (frame.t === "b") {
    if (!newer(frame.id, state.last)) return;
    state.last = frame.id;
    if (!place || frame.bk !== place.bookingId) return "sync";
    if (isFinal(place) && frame.st !== "confirmed") return;
    if (frame.st === "queued" && !frame.parked) return "sync";
    Object.assign(place, {
      state: frame.st,
      deadline: frame.dl ? new Date(frame.dl).toISOString() : null,
      reason: frame.why || "",
      parked: Boolean(frame.parked),
      position: null,
      wait: null,
      waitUnknown: frame.parked ? "soldOut" : null,
    });
  } else if (frame.t === "i") {
    if (!place || !place.item || place.item.name !== frame.item) return;
    Object.assign(place.item, { availability: frame.av, soldOutFrom: frame.from, unsettled: frame.u });
  }
};

const isClosedFor = (place) =>
  place.parked ||
  (place.item?.availability === "soldOutAtTheMoment" && place.quantity >= (place.item.soldOutFrom || 1));

const VIEWS = {
  reserving: "reserving", reserved: "turn", confirming: "confirming", confirmed: "paid",
  expired: "expired", cancelled: "cancelled", sold_out: "soldOut", rejected: "rejected",
  failed: "failed", releasing: "releasing",
};

// The name of the view, a key of views.json.
const viewOf = (state, now) => {
  const { place, queue } = state;
  if (state.busy) return state.busy;
  if (state.unknown) return "unknown";
  const notOpen = queue?.opensAt && Date.parse(queue.opensAt) > now;
  if (!place) {
    if (state.loading) return "loading";
    if (queue?.admission === "closed") return "closed";
    return notOpen ? "notOpen" : "join";
  }
  if (place.state !== "queued") return VIEWS[place.state] || "loading";
  if (isClosedFor(place)) return "parked";
  if (place.waitUnknown === "notOpen" || notOpen) return "notOpen";
  return queue?.admission === "paused" || place.waitUnknown === "paused" ? "paused" : "waiting";
};
