// Fixed figures for the operators' page: for each state, what it reads one after the other.

const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const totals = { enqueued: 91_234, confirmed: 8_100, expired: 312, cancelled: 97, soldOut: 0, rejected: 2, failed: 0 };
const closed = (name, changes = {}) => ({
  name, availability: "soldOutAtTheMoment", soldOutFrom: 1, unsettled: 312, waiting: 9_411, left: 0, ...changes,
});

const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();
const workers = (changes = {}) => ({
  wanted: 14, ready: 14,
  lastScaling: {
    at: ago(185), from: 6, to: 14, reason: "Capped",
    note: "81234 in line, 20400 joining per minute, 41 in flight; spec.outflow is the limit",
  },
  ...changes,
});

const line = (changes = {}) => ({
  admission: "open", waiting: 81_234, parked: 9_411, inFlight: 41, holds: 1_204, oldestWait: 372, rate: 9.94,
  limited: true, outflow: { perMinute: 600, burst: 0, maxHolds: 0 }, opensIn: null,
  wait: { low: 7_300, expected: 8_170, high: 9_600 }, waitUnknown: null, items: [], workers: workers(), totals, ...changes,
});
const queue = (changes = {}) => ({
  queue: "concert", title: "Summer Concert", connections: 15_102, upstreamLag: 0.4, epochChanges: 0, line: line(), ...changes,
});
const gateway = (changes = {}) => ({
  gateway: "concert-gateway-7d9f8b6c4-x2x8k-1", now: new Date().toISOString(), elapsed: 100_000, draining: false,
  connections: { websocket: 15_002, events: 100 }, maxConnections: 16_384, handshakes: { ok: 20_100, refused: 12 },
  sendLag: { bounds: BOUNDS, counts: [900, 4_000, 500, 90, 12, 0, 0, 0, 0, 0, 0, 0, 0] }, queues: [queue()], ...changes,
});

// A sale that is served, with an event every second.
const busy = (i) => {
  const items = [closed("Stalls"), closed("Front row of the upper circle, with a cushion", { availability: "soldOut", unsettled: 0, waiting: 0 }),
    closed("Box", { soldOutFrom: 4, waiting: 3, unsettled: 7, left: null })];
  const now = line({
    waiting: 61_234 + i * 600 - (i % 3) * 900, rate: 9.94 + 3 * Math.sin(i / 3), holds: 1_204 + i * 11, items,
    workers: workers({ ready: Math.min(13, 6 + Math.floor(i / 4)) }),
    totals: { ...totals, enqueued: totals.enqueued + i * 340, confirmed: totals.confirmed + i * 16 },
  });
  return gateway({
    elapsed: 100_000 + i * 1000, queues: [queue({ line: now, connections: 15_102 + i * 30 })],
    handshakes: { ok: 20_100 + i * 84, refused: 12 + i },
    sendLag: { bounds: BOUNDS, counts: [900 + i * 90, 4_000 + i * 400, 500 + i * 50, 90 + i * 9, 12 + i, 0, 0, 0, 0, 0, 0, 0, 0] },
  });
};

const early = line({
  waiting: 2_140, parked: 0, inFlight: 0, holds: 0, rate: 0, limited: false, outflow: { perMinute: 0, burst: 0, maxHolds: 0 },
  opensIn: 4_980, wait: null, waitUnknown: "notOpen", totals: { ...totals, enqueued: 2_140, confirmed: 0, expired: 0, cancelled: 0 },
});

// How many events are shown, and each of them. Then nothing comes any more.
export const FIGURES = {
  busy: [40, busy],
  several: [1, () => gateway({
    queues: [queue(), queue({ queue: "festival", title: "Festival", connections: 12, line: { ...early, workers: null } }),
      queue({ queue: "match", title: "Match", line: line({ admission: "closed", waiting: 0, limited: false, wait: { low: 0, expected: 0, high: 0 } }) })],
  })],
  wrong: [3, (i) => gateway(i ? {
    draining: true, elapsed: 100_000 + i * 1000, queues: [queue({ line: null, upstreamLag: 14.2, epochChanges: 1 }),
      queue({ queue: "festival", title: "Festival", upstreamLag: 9.1, line: line({ admission: "paused", rate: 0, limited: false, wait: null, waitUnknown: "paused", workers: workers({ wanted: 3, ready: 3, lastScaling: { at: ago(90_000), from: 3, to: 3, reason: "Fixed", note: "spec.replicas is 3" } }) }) })],
  } : {})],
  silent: [1, () => gateway()],
};
