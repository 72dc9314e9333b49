// Chromium, with pages whose requests to the gateway are answered by fixed states.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

// A phone and a wide screen, light and dark.
export const SIZES = [
  { name: "320-light", viewport: { width: 320, height: 640 }, colorScheme: "light" },
  { name: "320-dark", viewport: { width: 320, height: 640 }, colorScheme: "dark" },
  { name: "1280-light", viewport: { width: 1280, height: 800 }, colorScheme: "light" },
  { name: "1280-dark", viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
];

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM || CHROMIUM.find(existsSync),
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-features=LocalNetworkAccessChecks",
      "--autoplay-policy=no-user-gesture-required"],
  });

// The violations of WCAG 2.2 AA, one line each.
export const violations = async (page) => {
  await page.evaluate(axeSource);
  const { violations: found } = await page.evaluate(() =>
    axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
      resultTypes: ["violations"],
    }));
  return found.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html + " " + node.failureSummary).join("; ")}`);
};
