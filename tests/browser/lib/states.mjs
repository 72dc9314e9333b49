// Fixed answers of the gateway, one for each state of the page.

const minutes = (count) => new Date(Date.now() + count * 60_000).toISOString();

export const queue = (changes = {}) => ({
  queue: "concert", title: "Summer Concert", admission: "open", waiting: 81_234, parked: 0, rate: 215,
  opensAt: null, opensIn: null, now: minutes(0), wait: { low: 340, expected: 380, high: 460 },
  waitUnknown: null, items: [], ...changes,
});

const item = { name: "Stalls", availability: "open", soldOutFrom: null, unsettled: 0, waiting: 0, left: null };
const closed = { ...item, availability: "soldOutAtTheMoment", soldOutFrom: 1, unsettled: 1_312, waiting: 9_411 };

export const place = (changes = {}) => ({
  queue: "concert", bookingId: "0193a0b2-0000-7000-8000-000000000001", number: 14_207, state: "queued",
  position: 12_481, wait: { low: 240, expected: 300, high: 540 }, waitUnknown: null, parked: false, item,
  quantity: 2, chance: "likely", deadline: null, joinedAt: minutes(-12), reason: "", outcome: null,
  epoch: "e1", now: minutes(0), pollAfter: 5, ...changes,
});

const ended = { position: null, wait: null, chance: null };

// The name of a state: what the gateway answers, and the view that the page shows.
export const STATES = {
  join: { queue: queue() },
  notOpen: { queue: queue({ opensAt: minutes(83), wait: null, waitUnknown: "notOpen" }) },
  notOpenInLine: {
    view: "notOpen", queue: queue({ opensAt: minutes(83) }),
    place: place({ wait: null, waitUnknown: "notOpen", chance: null }),
  },
  waiting: { queue: queue(), place: place() },
  waitingFirst: {
    view: "waiting", queue: queue({ waiting: 3 }),
    place: place({ position: 1, chance: "uncertain", wait: { low: 1, expected: 2, high: 4 } }),
  },
  waitingMillion: {
    view: "waiting", queue: queue({ waiting: 1_234_567 }),
    place: place({ position: 1_204_311, chance: "unlikely", wait: { low: 5200, expected: 7000, high: 9100 } }),
  },
  waitingOutage: {
    view: "waiting", queue: queue(), place: place({ wait: null, waitUnknown: "outage", chance: null }),
  },
  paused: { queue: queue({ admission: "paused" }), place: place({ wait: null, waitUnknown: "paused" }) },
  parked: {
    queue: queue(),
    place: place({ parked: true, item: closed, position: 311, wait: null, waitUnknown: "soldOut", chance: "unlikely" }),
  },
  reserving: { queue: queue(), place: place({ ...ended, state: "reserving" }) },
  turn: { queue: queue(), place: place({ ...ended, state: "reserved", deadline: minutes(7.6) }) },
  confirming: { queue: queue(), place: place({ ...ended, state: "confirming" }) },
  paid: { queue: queue(), place: place({ ...ended, state: "confirmed" }) },
  expired: { queue: queue(), place: place({ ...ended, state: "expired" }) },
  releasing: { queue: queue(), place: place({ ...ended, state: "releasing", outcome: "cancelled" }) },
  cancelled: { queue: queue(), place: place({ ...ended, state: "cancelled" }) },
  soldOut: { queue: queue(), place: place({ ...ended, state: "sold_out" }) },
  rejected: {
    queue: queue(), place: place({ ...ended, state: "rejected", reason: "at most 4 for each account" }),
  },
  failed: { queue: queue(), place: place({ ...ended, state: "failed", reason: "payment was refused" }) },
  closed: { queue: queue({ admission: "closed", wait: null }) },
  unknown: { queue: queue(), unknown: true },
  loading: { queue: queue(), slow: true },
  challenge: { queue: queue(), press: "join", challenge: 30 },
  offline: { view: "waiting", queue: queue(), place: place(), cut: true },
  takeover: { queue: queue(), place: place(), hash: "#place=abc" },
};
