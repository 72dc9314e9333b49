// Runs the query of every panel of the Grafana dashboard, and the expression of every alert, against
// a real Prometheus that scrapes a worker and a gateway while a crowd comes through it.
//
//   PROMETHEUS=/path/to/prometheus node dashboard.mjs
//
// Prometheus builds from its Go module: `go build -tags remove_all_sd ./cmd/prometheus` in a copy of
// github.com/prometheus/prometheus. OPERATOR=HOST:PORT, the admin port of a running operator, checks its
// panels too; without it they are only parsed.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BOOKINGQ, Stack, freePort, sleep, until } from "./lib/stack.mjs";

const { PROMETHEUS, OPERATOR } = process.env;
if (!PROMETHEUS) throw new Error("set PROMETHEUS to the path of prometheus");
const root = new URL("../../", import.meta.url).pathname;
const dashboard = JSON.parse(readFileSync(join(root, "charts/bookingq/files/dashboard.json"), "utf8"));
const CLIENTS = Number(process.env.CLIENTS || 300);
// Series that appear with their first event: a healthy sale has no error and no challenge, a queue without Pods no scaling.
const MAY_BE_EMPTY = [/store_errors_total/, /gateway_challenges_total/, /scalings_total/];

const folder = mkdtempSync(join(tmpdir(), "bookingq-prometheus-"));
const stack = await Stack.start({ concert: { hold: "5s", stock: CLIENTS / 2 } });
let prometheus;
try {
  const { ports } = stack, port = await freePort();
  const targets = ["worker-admin-concert", "admin"].map((name) => `127.0.0.1:${ports[name]}`);
  if (OPERATOR) targets.push(OPERATOR);
  const jobs = [{ job_name: "bookingq", scrape_interval: "1s", honor_labels: true, static_configs: [{ targets }] }];
  writeFileSync(join(folder, "prometheus.yml"), JSON.stringify({ scrape_configs: jobs }));
  prometheus = spawn(PROMETHEUS, [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=127.0.0.1:${port}`], { stdio: "ignore" });
  const query = async (expr) => {
    const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expr)}`;
    const answer = await (await fetch(url)).json();
    if (answer.status !== "success") throw new Error(`${expr}: ${answer.error}`);
    return answer.data.result;
  };
  await until("every target is scraped", async () => {
    const up = await query("up == 1");
    return up.length === targets.length;
  });
  await sleep(2000);
  const crowd = spawn(BOOKINGQ, ["crowd", "--queue", "concert", "--gateway", stack.url, "--backend",
    `http://127.0.0.1:${ports.backend}`, "--keys", join(stack.folder, "keys"), "--clients", String(CLIENTS),
    "--arrive", "10s", "--for", "60s"], { stdio: "inherit" });
  await sleep(15_000);

  const problems = [];
  let checked = 0;
  for (const panel of dashboard.panels) {
    for (const { expr } of panel.targets ?? []) {
      const filled = expr.replaceAll("$__rate_interval", "30s").replaceAll(/\$(queue|namespace|gateway)\b/g, ".*");
      const series = await query(filled);
      checked += 1;
      const numbers = series.filter(({ value }) => value[1] !== "NaN");
      const expected = OPERATOR || !expr.includes("bookingqueue_operator_");
      if (!numbers.length && expected && !MAY_BE_EMPTY.some((name) => name.test(expr))) {
        problems.push(`${panel.title}: ${series.length} series, none with a number: ${filled}`);
      }
      console.log(`${String(numbers.length).padStart(4)}  ${panel.title}: ${expr}`);
    }
  }
  const rules = execFileSync("helm", ["template", "bookingq", join(root, "charts/bookingq"), "--kube-version", "1.34.0",
    "--set", "prometheusRule.enabled=true", "--show-only", "templates/prometheusrule.yaml"], { encoding: "utf8" });
  for (const [, expr] of rules.matchAll(/^ +expr: (.*)$/gm)) {
    await query(expr);
    checked += 1;
  }
  crowd.kill("SIGINT");
  console.log(`${checked} expressions, ${problems.length} without data`);
  for (const problem of problems) console.error(problem);
  if (problems.length) process.exitCode = 1;
} finally {
  prometheus?.kill();
  stack.stop();
  await sleep(500);
  rmSync(folder, { recursive: true, force: true });
}
