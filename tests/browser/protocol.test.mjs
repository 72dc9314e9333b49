// The script's pure functions, on the vectors of crates/core and the tables of page/text.rs.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";

const root = new URL("../../", import.meta.url);
const read = (path) => readFileSync(new URL(path, root), "utf8");

// The named values of some files of the page's script.
const load = (files, names, globals = {}) => {
  const source = files.map((name) => read(`crates/gateway/page/js/${name}.js`)).join("\n");
  return runInContext(`${source};({${names}})`, createContext({ Intl, Date, ...globals }));
};
const strings = (lang) => JSON.parse(read(`crates/gateway/page/strings/${lang}.json`));
const protocol = load(["protocol"], "positionIn,waitIn,newer,backOff,StoreClock,applyFrame,viewOf");
const texts = (lang) =>
  load(["text"], "t,number,waitText,countdown", { DATA: { lang, strings: strings(lang) } });

test("the position is the same as in Rust, and never smaller than the true one", () => {
  const { lines } = JSON.parse(read("crates/core/tests/vectors/positions.json"));
  let checked = 0;
  for (const { name, clients } of lines) {
    for (const { number, segment, position, actual } of clients.filter((client) => client.segment)) {
      const shown = protocol.positionIn(segment.map((value) => value ?? 999_999_999_999), number);
      assert.equal(shown, position, `${name}: ${number}`);
      assert.ok(actual === null || shown >= actual, `${name}: ${number}`);
      checked++;
    }
  }
  assert.ok(checked > 50, checked);
});

test("the wait is between those at both ends of the segment", () => {
  const wait = (position) => ({ ...protocol.waitIn([1, 10, 20], [100, 200, 300, 600], position) });
  assert.deepEqual(wait(10), { low: 100, high: 200 });
  assert.deepEqual(wait(15), { low: 200, high: 400 });
  assert.deepEqual(wait(20), { low: 300, high: 600 });
  // The last segment ends with the line.
  assert.deepEqual({ ...protocol.waitIn([1, 10, 1e12], [0, 0, 100, 200], 15, 20) }, { low: 50, high: 100 });
  assert.deepEqual({ ...protocol.waitIn([1, 7, 7], [1, 2, 3, 4], 7) }, { low: 1, high: 2 });
});

test("sequences are compared as two numbers", () => {
  assert.ok(protocol.newer("10-1", "9-99"));
  assert.ok(protocol.newer("10-10", "10-9"));
  assert.ok(!protocol.newer("10-9", "10-9"));
  assert.ok(protocol.newer("1-1", undefined));
});

test("the pause before a retry has full jitter and an end", () => {
  assert.equal(protocol.backOff(3, () => 0), 0);
  assert.equal(protocol.backOff(3, () => 1), 8000);
  assert.equal(protocol.backOff(99, () => 1), 30000);
});

test("the store's clock comes from the smallest round trip, whatever the device's clock says", () => {
  const clock = new protocol.StoreClock(), hour = 3_600_000;
  clock.sample(1000, 1400, 1200 + hour);
  assert.equal(clock.offset, hour);
  clock.sample(2000, 2100, 2051 + hour);
  assert.equal(clock.offset, hour + 1);
  clock.sample(3000, 5000, 0);
  clock.sample(3000, 2000, 0);
  assert.equal(clock.offset, hour + 1);
  clock.reset();
  clock.sample(3000, 5000, 4000);
  assert.equal(clock.offset, 0);
});

const queued = () => ({
  bookingId: "b", state: "queued", number: 120, position: 50, parked: false, quantity: 2,
  item: { name: "A", availability: "open", soldOutFrom: null, unsettled: 0 },
});

test("a tick gives position and wait, but not to a parked booking", () => {
  const state = { place: queued() };
  const tick = { t: "k", at: 1, s: [100, 10, 40], w: [10, 20, 40, 80], n: 99, i: 3000, adm: "open" };
  protocol.applyFrame(state, tick);
  assert.equal(state.place.position, 30);
  assert.equal(state.queue.waiting, 99);
  assert.equal(state.every, 3000);
  assert.equal(state.place.waitUnknown, null);
  protocol.applyFrame(state, { ...tick, w: undefined, wu: "outage" });
  assert.equal(state.place.wait, null);
  assert.equal(state.place.waitUnknown, "outage");
  state.place.parked = true;
  protocol.applyFrame(state, { ...tick, s: [100, 1, 40] });
  assert.equal(state.place.position, 30);
});

test("news changes the own booking once and in order, and a final state stays", () => {
  const state = { place: queued(), last: "5-5" };
  const news = (id, st, more) => protocol.applyFrame(state, { t: "b", id, st, bk: "b", ...more });
  assert.equal(news("5-4", "expired"), undefined);
  assert.equal(state.place.state, "queued");
  news("5-6", "reserved", { dl: 1_700_000_000_000 });
  assert.equal(state.place.deadline, "2023-11-14T22:13:20.000Z");
  news("5-7", "expired");
  news("5-8", "reserved");
  assert.equal(state.place.state, "expired");
  assert.equal(news("5-9", "queued"), undefined);
});

test("news of another booking, or back in the line, asks for a snapshot", () => {
  const state = { place: queued() };
  assert.equal(protocol.applyFrame(state, { t: "b", id: "1-1", st: "reserved", bk: "other" }), "sync");
  assert.equal(protocol.applyFrame(state, { t: "b", id: "1-2", st: "queued", bk: "b" }), "sync");
  protocol.applyFrame(state, { t: "b", id: "1-3", st: "queued", bk: "b", parked: true });
  assert.equal(state.place.parked, true);
  assert.equal(protocol.viewOf(state, 0), "parked");
});

test("an unknown frame changes nothing", () => {
  const state = { place: queued() }, before = JSON.stringify(state);
  assert.equal(protocol.applyFrame(state, { t: "zz", b: 1 }), undefined);
  assert.equal(JSON.stringify(state), before);
});

test("an item that is sold out at the moment is shown to those whose quantity is refused", () => {
  const state = { place: queued() };
  protocol.applyFrame(state, { t: "i", item: "A", av: "soldOutAtTheMoment", from: 3, u: 9 });
  assert.equal(protocol.viewOf(state, 0), "waiting");
  protocol.applyFrame(state, { t: "i", item: "A", av: "soldOutAtTheMoment", from: 2, u: 8 });
  assert.equal(protocol.viewOf(state, 0), "parked");
  assert.equal(state.place.item.unsettled, 8);
  protocol.applyFrame(state, { t: "i", item: "A", av: "open", from: 0, u: 0 });
  assert.equal(protocol.viewOf(state, 0), "waiting");
});

test("waits are ranges in minutes or half hours", () => {
  const { waitText } = texts("en");
  for (const [low, high, text] of [
    [0, 59, "less than a minute"], [0, 60, "0 to 1 min"], [61, 119, "2 min"], [240, 540, "4 to 9 min"],
    [3000, 5400, "50 min to 1.5 h"], [5400, 9001, "1.5 to 3 h"],
  ]) assert.equal(waitText({ low, high }), text);
  assert.equal(texts("de").waitText({ low: 5400, high: 9000 }), "1,5 bis 2,5 Std.");
  assert.equal(waitText(null, "paused"), "unknown while paused");
});

test("numbers are grouped as the language writes them", () => {
  assert.equal(texts("en").number(1234567), "1,234,567");
  assert.equal(texts("es").number(1234), "1234");
  assert.equal(texts("es").number(12345), "12.345");
});

test("countdowns have as many parts as needed", () => {
  for (const [ms, text] of [
    [-5, "0:00"], [1, "0:01"], [249_000, "4:09"], [3_849_000, "1:04:09"], [90_061_000, "1 d 1:01:01"],
  ]) assert.equal(texts("en").countdown(ms), text);
});

test("the proof of work is a SHA-256 with leading zero bits", async () => {
  const { createHash } = await import("node:crypto");
  const { search } = load(["worker"], "search", { self: {}, Int32Array, Uint8Array, DataView, Math });
  for (const seed of ["abc", "x".repeat(70)]) {
    const { nonce } = search({ seed, difficulty: 12 });
    const hash = createHash("sha256").update(`${seed}:${nonce}`).digest();
    assert.equal(hash.readUInt16BE(0) >> 4, 0, hash.toString("hex"));
  }
});
