// Driver of BullMQ for `cargo xtask bench peers`. The flags are those of every driver, see ../README.md.
import { parseArgs } from 'node:util';
import { Queue, Worker } from 'bullmq';

const QUEUE = 'bench';

const { values: flags } = parseArgs({
  options: {
    redis: { type: 'string' },
    mode: { type: 'string' },
    jobs: { type: 'string', default: '0' },
    'warm-up': { type: 'string', default: '0' },
    'in-flight': { type: 'string', default: '1' },
    bulk: { type: 'string', default: '0' },
    rate: { type: 'string', default: '0' },
    window: { type: 'string', default: '1000' },
    settle: { type: 'string', default: '0ms' },
    concurrency: { type: 'string', default: '64' },
    workers: { type: 'string', default: '1' },
    busy: { type: 'string', default: '0ms' },
  },
});

const number = (name) => {
  const value = Number(flags[name].replace(/ms$/, ''));
  if (!Number.isFinite(value) || value < 0) throw new Error(`--${name} is ${flags[name]}; allowed: numbers from 0`);
  return value;
};

const [host, port] = flags.redis.split(':');
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const jobs = number('jobs');
const inFlight = number('in-flight');
const rate = number('rate');
const busy = number('busy');

/** 64 bytes: the due time of the job, in microseconds after the start, and padding. */
const payload = (due) => String(Math.round(due * 1000)).padStart(20, '0') + 'x'.repeat(44);

const openQueue = () => new Queue(QUEUE, { connection, defaultJobOptions: { removeOnComplete: true } });

/** Adds `count` jobs, `inFlight` calls at once, each of one job or of `bulk`. `due` says when a job is due, once it may be added. */
async function enqueue(queue, count, due = async () => 0) {
  const bulk = number('bulk');
  let left = count;
  const lane = async () => {
    while (left > 0) {
      const size = bulk === 0 ? 1 : Math.min(bulk, left);
      left -= size;
      if (bulk === 0) await queue.add('job', payload(await due()));
      else await queue.addBulk(Array.from({ length: size }, () => ({ name: 'job', data: payload(0) })));
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

async function add() {
  const queue = openQueue();
  await enqueue(queue, number('warm-up'));
  const start = performance.now();
  await enqueue(queue, jobs);
  say({ jobs, seconds: (performance.now() - start) / 1000 });
  await queue.close();
}

function startWorkers(handle) {
  const options = { connection, concurrency: number('concurrency'), removeOnComplete: { count: 0 } };
  const process = async (job) => {
    handle(job);
    if (busy > 0) await new Promise((done) => setTimeout(done, busy));
  };
  return Array.from({ length: number('workers') }, () => {
    const worker = new Worker(QUEUE, process, options);
    worker.on('error', (error) => fail(error));
    worker.on('failed', (_, error) => fail(error));
    return worker;
  });
}

async function work() {
  const workers = startWorkers(() => {});
  await parentEndsUs();
  await Promise.all(workers.map((worker) => worker.close()));
}

async function both() {
  const queue = openQueue();
  const waits = [];
  const settle = number('settle');
  let started = 0;
  let finish;
  const handled = new Promise((resolve) => (finish = resolve));
  const start = performance.now();
  const now = () => performance.now() - start;
  let room = number('window');
  const blocked = [];
  const onceThereIsRoom = async () => {
    while (room === 0) await new Promise((resolve) => blocked.push(resolve));
    room -= 1;
    return now();
  };
  const workers = startWorkers((job) => {
    room += 1;
    blocked.shift()?.();
    const due = Number(job.data.slice(0, 20)) / 1000;
    if (due >= settle) waits.push(now() - due);
    started += 1;
    if (started === jobs) finish();
  });
  const ended = parentEndsUs();
  await (rate > 0 ? offer(queue, now) : enqueue(queue, jobs, onceThereIsRoom));
  await Promise.race([handled, ended]);
  if (started < jobs) throw new Error(`ended by the parent with ${started} of ${jobs} jobs handled`);
  const seconds = now() / 1000;
  waits.sort((a, b) => a - b);
  const at = (share) => waits[Math.floor(share * (waits.length - 1))];
  say({ jobs, seconds, p50_ms: at(0.5), p99_ms: at(0.99), p999_ms: at(0.999) });
  await ended;
  await Promise.all(workers.map((worker) => worker.close()));
  await queue.close();
}

/** Adds jobs when they are due, whether or not the earlier ones have been answered. */
function offer(queue, now) {
  return new Promise((resolve, reject) => {
    const under = [];
    let sent = 0;
    const tick = setInterval(() => {
      for (const until = now(); sent < jobs && (sent / rate) * 1000 <= until; sent++) {
        under.push(queue.add('job', payload((sent / rate) * 1000)));
      }
      if (sent === jobs) {
        clearInterval(tick);
        Promise.all(under).then(resolve, reject);
      }
    }, 1);
  });
}

/** Waits until standard input ends: also when the parent is gone. */
function parentEndsUs() {
  return new Promise((resolve) => process.stdin.resume().on('end', resolve).on('close', resolve));
}

function say(figures) {
  console.log(JSON.stringify(figures));
}

function fail(error) {
  console.error(`error: ${error.message}`);
  process.exit(1);
}

const modes = { add, work, both };
const run = modes[flags.mode];
if (!run) fail(new Error(`--mode is ${flags.mode}; allowed: ${Object.keys(modes).join(', ')}`));
run().then(() => process.exit(0), fail);
