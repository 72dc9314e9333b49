// Calls to the gateway. Every one has a deadline; what may be repeated is repeated by its caller.

const BASE = "/v1/queues/" + DATA.queueName;
const DEADLINE = 10000;

class Problem extends Error {
  constructor(status, body, after) {
    super(body.detail || body.title || "HTTP " + status);
    Object.assign(this, { status, body, reason: body.reason || "", after });
  }
  // No answer, or one that says: later.
  get passing() {
    return !this.status || this.status === 429 || this.status >= 500;
  }
}

const call = async (method, path, { body, headers } = {}) => {
  const sent = Date.now();
  let response, json;
  try {
    response = await fetch(path, {
      method,
      headers: { ...(body && { "content-type": "application/json" }), ...headers },
      body: body && JSON.stringify(body),
      cache: "no-store",
      signal: AbortSignal.timeout(DEADLINE),
    });
    json = await response.json();
  } catch (error) {
    if (!response || response.ok) throw new Problem(0, { detail: error.message });
    json = {};
  }
  if (!response.ok) {
    const after = Number(response.headers.get("retry-after")) * 1000 || 0;
    throw new Problem(response.status, json, after);
  }
  const at = Date.parse((json.place || json).now);
  if (at) clock.sample(sent, Date.now(), at);
  return json;
};

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const uuid = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
};

// Storage may be switched off: the page then forgets at a reload.
const stored = (storage, name, value) => {
  try {
    const key = `bq:${DATA.queueName}:${name}`;
    if (value === undefined) return storage().getItem(key);
    if (value === null) storage().removeItem(key);
    else storage().setItem(key, value);
  } catch {
    return null;
  }
};
const kept = (name, value) => stored(() => localStorage, name, value);
const keptInTab = (name, value) => stored(() => sessionStorage, name, value);

// Finds the nonce of a challenge in a Worker, so that the page stays alive.
const solve = (challenge) =>
  new Promise((done, fail) => {
    const source = document.getElementById("pow").textContent;
    const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const worker = new Worker(url);
    const end = (finish) => (event) => {
      worker.terminate();
      URL.revokeObjectURL(url);
      finish(event.data ?? new Problem(0, { detail: event.message }));
    };
    worker.onmessage = end(done);
    worker.onerror = end(fail);
    worker.postMessage(challenge);
  });
