// A whole bookingq on this computer: Redis, simulated services with the demo checkout, one worker
// for each queue, and a gateway.

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = new URL("../../../", import.meta.url).pathname;
export const BOOKINGQ = process.env.BOOKINGQ || join(root, "target/debug/bookingq");

export const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// Waits until `check` returns something true; at most `seconds`.
export const until = async (what, check, seconds = 20) => {
  const end = Date.now() + seconds * 1000;
  let last;
  for (;;) {
    try {
      last = await check();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}; last: ${last}`);
    await sleep(50);
  }
};

export class Stack {
  // `queues`: name -> settings { hold, stock, page }.
  static async start(queues) {
    const stack = new Stack();
    try {
      await stack.begin(queues);
      return stack;
    } catch (error) {
      stack.stop();
      throw error;
    }
  }

  async begin(queues) {
    this.folder = mkdtempSync(join(tmpdir(), "bookingq-browser-"));
    this.processes = new Map();
    this.queues = queues;
    const names = ["redis", "booking", "ticket", "realtime", "sim", "checkout", "gateway", "backend", "admin"];
    this.ports = {};
    const workers = Object.keys(queues).flatMap((queue) => ["worker-" + queue, "worker-admin-" + queue]);
    for (const name of [...names, ...workers]) {
      this.ports[name] = await freePort();
    }
    this.redis = `redis://127.0.0.1:${this.ports.redis}`;
    this.url = `http://localhost:${this.ports.gateway}`;
    this.checkout = `http://localhost:${this.ports.checkout}`;
    this.makeKeys();
    this.spawn("redis", "redis-server", ["--port", this.ports.redis, "--save", "", "--dir", this.folder]);
    this.simulate();
    for (const name of Object.keys(queues)) this.worker(name);
    this.gateway();
    await this.ready();
  }

  makeKeys() {
    mkdirSync(join(this.folder, "keys"));
    for (const purpose of ["place", "pass", "enqueue", "backend"]) {
      this.run("keys", "new", "--purpose", purpose, "--out", join(this.folder, `keys/${purpose}.json`));
    }
  }

  simulate() {
    const { ports } = this, local = (name) => `127.0.0.1:${ports[name]}`;
    const stock = Object.entries(this.queues).map(([name, { stock = 1000 }]) => `${name}:${stock}`);
    this.spawn("simulate", BOOKINGQ, [
      "simulate", "--booking", `stock=1000,items=${stock.join(",")}`,
      "--booking-listen", local("booking"), "--ticket-listen", local("ticket"),
      "--realtime-listen", local("realtime"), "--admin-listen", local("sim"),
      "--checkout-listen", local("checkout"), "--checkout-key", join(this.folder, "keys/backend.json"),
      "--checkout-gateway", this.url, "--checkout-backend", `http://${local("backend")}`,
    ]);
  }

  worker(name) {
    this.spawn("worker-" + name, BOOKINGQ, [
      "worker", "--queue", name, "--redis", this.redis, "--listen", `127.0.0.1:${this.ports["worker-" + name]}`,
      "--admin-listen", `127.0.0.1:${this.ports["worker-admin-" + name]}`,
      "--booking", `http://127.0.0.1:${this.ports.booking}`, "--hold", this.queues[name].hold || "5m",
    ]);
    this.spawn("sweeper-" + name, BOOKINGQ, ["sweep", "--queue", name, "--redis", this.redis]);
  }

  gateway() {
    const config = join(this.folder, "gateway.json"), { ports } = this;
    const queues = Object.entries(this.queues).map(([name, { page = {} }]) => ({
      name, title: "Summer Concert", workers: `http://127.0.0.1:${ports["worker-" + name]}`,
      returnOrigins: [this.checkout], brand: { color: "#0a7d4b" }, ...page,
    }));
    writeFileSync(config, JSON.stringify({ queues }));
    this.spawn("gateway", BOOKINGQ, [
      "gateway", "--config", config, "--listen", `127.0.0.1:${ports.gateway}`, "--insecure-cookies",
      "--keys", join(this.folder, "keys"), "--backend-listen", `127.0.0.1:${ports.backend}`,
      "--admin-listen", `127.0.0.1:${ports.admin}`, "--drain", "1s", "--linger", "0s",
    ]);
  }

  ready() {
    return until("the gateway is ready", async () =>
      (await fetch(`http://127.0.0.1:${this.ports.admin}/readyz`)).ok, 60);
  }

  // Starts a process; its output is in a file of the folder.
  spawn(name, program, args) {
    const log = openSync(join(this.folder, name + ".log"), "a");
    const child = spawn(program, args.map(String), { stdio: ["ignore", log, log] });
    child.on("error", (error) => console.error(`${name} does not start: ${error.message}`));
    this.processes.set(name, child);
  }

  log(name) {
    return readFileSync(join(this.folder, name + ".log"), "utf8");
  }

  // Ends a process at once.
  async kill(name) {
    const child = this.processes.get(name);
    const ended = new Promise((done) => child.once("exit", done));
    child.kill("SIGKILL");
    await ended;
  }

  run(...args) {
    return execFileSync(BOOKINGQ, args.map(String), { encoding: "utf8" });
  }

  admission(queue, admission) {
    this.run("admission", "--queue", queue, "--redis", this.redis, admission);
  }

  // A booking of a client without a browser, to stand in line.
  async joinOther(queue) {
    const answer = await fetch(`${this.url}/v1/queues/${queue}/places`, {
      method: "POST", body: "{}",
      headers: { "content-type": "application/json", "idempotency-key": crypto.randomUUID() },
    });
    const { place, token } = await answer.json();
    return { place, token };
  }

  // The place of a token, as the gateway knows it.
  async place(queue, token) {
    const headers = { authorization: `Bearer ${token}` };
    return (await fetch(`${this.url}/v1/queues/${queue}/places/me`, { headers })).json();
  }

  async metric(name) {
    const text = await (await fetch(`http://127.0.0.1:${this.ports.admin}/metrics`)).text();
    const lines = text.split("\n").filter((line) => line.startsWith(name));
    return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
  }

  stop() {
    for (const child of this.processes?.values() ?? []) child.kill("SIGKILL");
    if (process.env.KEEP) console.log(`logs: ${this.folder}`);
    else rmSync(this.folder, { recursive: true, force: true });
  }
}
