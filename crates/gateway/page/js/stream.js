// The stream of the own place: a WebSocket, else server-sent events, else polling.

const HELLO = 8000;

// Each rung opens a link: frames go to `got`, its end to `lost(code, after)`.
const socketLink = (got, lost) => {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + BASE + "/socket", ["bq1"]);
  socket.onmessage = (event) => got(JSON.parse(event.data));
  socket.onclose = (event) => lost(event.code);
  return {
    close: () => socket.close(),
    ping: () => socket.readyState === 1 && socket.send(JSON.stringify({ t: "ping", c: Date.now() })),
  };
};

const eventLink = (got, lost) => {
  const source = new EventSource(BASE + "/events");
  source.onmessage = (event) => got(JSON.parse(event.data));
  source.onerror = () => lost(0);
  return { close: () => source.close() };
};

const pollLink = (got, lost) => {
  let timer, ended = false;
  const poll = async () => {
    try {
      const place = await call("GET", BASE + "/places/me");
      if (ended) return;
      const every = (place.pollAfter || 10) * 1000;
      got({ t: "hello", now: Date.parse(place.now), e: place.epoch, b: place, i: every });
      timer = setTimeout(poll, every * (0.8 + Math.random() * 0.4));
    } catch (problem) {
      if (!ended) lost(problem.status === 401 || problem.status === 404 ? 4401 : 0, problem.after);
    }
  };
  poll();
  return { close: () => { ended = true; clearTimeout(timer); } };
};

const RUNGS = [socketLink, eventLink, pollLink];

// `on`: frame(frame, sent), down(), unknown(), replaced().
class Stream {
  constructor(on) {
    Object.assign(this, { on, rung: 0, fails: 0, worked: [], wanted: false, link: null, last: 0 });
  }
  open() {
    if (this.wanted) return;
    this.wanted = true;
    this.connect();
  }
  close() {
    this.wanted = false;
    this.drop();
  }
  drop() {
    clearTimeout(this.timer);
    clearTimeout(this.climb);
    const link = this.link;
    this.link = null;
    this.up = false;
    link?.close();
  }
  later(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.connect(), ms);
  }
  connect() {
    this.drop();
    if (!this.wanted) return;
    const mine = {}, sent = Date.now();
    let after;
    this.mine = mine;
    const got = (frame) => {
      if (this.mine !== mine || !this.wanted) return;
      this.last = Date.now();
      if (frame.t === "bye") after = frame.after;
      if (frame.t === "hello" && !this.up) this.greeted();
      this.on.frame(frame, sent);
    };
    const lost = (code, wait) => {
      if (this.mine !== mine || !this.wanted) return;
      this.mine = null;
      this.lost(code, wait, after);
    };
    this.timer = setTimeout(() => lost(0), HELLO);
    this.link = RUNGS[this.rung](got, lost);
  }
  greeted() {
    clearTimeout(this.timer);
    this.up = true;
    this.fails = 0;
    this.worked[this.rung] = true;
    this.link?.ping?.();
    // A poll that works does not say that sockets never will.
    if (this.rung === 2) {
      this.climb = setTimeout(() => { this.rung = 0; this.connect(); }, this.worked[0] ? 30000 : 300000);
    }
  }
  lost(code, wait, after) {
    const was = this.up;
    this.drop();
    if (code === 4401) return this.on.unknown();
    if (code === 4409) return this.on.replaced();
    this.on.down();
    this.fails++;
    if (after) return this.later(after[0] + Math.random() * (after[1] - after[0]));
    const last = this.rung === RUNGS.length - 1;
    if (!was && (!this.worked[this.rung] || this.fails > 2)) {
      this.rung = (this.rung + 1) % RUNGS.length;
      if (!last && !wait) return this.connect();
    }
    this.later(wait || backOff(this.fails));
  }
  // The page was asleep, or the network came back.
  wake() {
    if (!this.wanted) return;
    if (!this.up) {
      // What is being tried goes on; a pause is cut short.
      if (this.link) return;
      this.rung = this.worked[0] ? 0 : this.rung;
      return this.later(Math.random() * 1000);
    }
    const before = this.last;
    if (!this.link.ping) return Date.now() - before > 5000 && this.connect();
    this.link.ping();
    setTimeout(() => this.wanted && this.up && this.last === before && this.connect(), 1000);
  }
}
