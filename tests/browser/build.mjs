// Makes crates/gateway/page/built/ from the page's sources: what the gateway puts into the page.
//
//   node build.mjs            writes it
//   node build.mjs --check    fails if it is not up to date

import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { minify } from "terser";

const folder = new URL("../../crates/gateway/page/", import.meta.url);
const read = (name) => readFileSync(new URL(name, folder), "utf8");

const SCRIPTS = ["data", "protocol", "text", "api", "stream", "tabs", "view", "main"];
const SOURCES = ["page.css", "js/worker.js", ...SCRIPTS.map((name) => `js/${name}.js`)];

const script = async (source) => {
  const options = { compress: { passes: 2 }, mangle: true, toplevel: true, format: { comments: false } };
  return (await minify(source, options)).code + "\n";
};

const style = (source) =>
  source.replace(/\/\*[^]*?\*\//g, "").replace(/\s*\n\s*/g, "").replace(/\s*([{};,])\s*/g, "$1")
    .replace(/;}/g, "}") + "\n";

const built = {
  "built/page.js": await script(`(()=>{"use strict";${SCRIPTS.map((name) => read(`js/${name}.js`)).join("")}})()`),
  "built/worker.js": await script(read("js/worker.js")),
  "built/page.css": style(read("page.css")),
  // A test of the gateway compares it, so that a change without a build is noticed without Node.
  "built/sources.sha256": createHash("sha256").update(SOURCES.map(read).join("")).digest("hex") + "\n",
};

const same = (name) => {
  try {
    return read(name) === built[name];
  } catch {
    return false;
  }
};
const stale = Object.keys(built).filter((name) => !same(name));
if (process.argv.includes("--check")) {
  if (stale.length) console.error(`not up to date: ${stale.join(", ")}; run: npm run build`);
  process.exit(stale.length ? 1 : 0);
}
mkdirSync(new URL("built/", folder), { recursive: true });
for (const name of stale) writeFileSync(new URL(name, folder), built[name]);
console.log(stale.length ? `written: ${stale.join(", ")}` : "up to date");
