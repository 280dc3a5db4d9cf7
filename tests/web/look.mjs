// Looks at every page as people do: node look.mjs URL SCENE PICTURES, with the token in CCD_TOKEN.
// Fails when a page says anything on the console, asks another server, moves, breaks a rule of axe, overflows a phone,
// or shows less without JavaScript.
import fs from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const require = createRequire(import.meta.url);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const [base, scene, pictures] = process.argv.slice(2);
fs.mkdirSync(pictures, { recursive: true });
const problems = [];
const complain = (where, what) => { problems.push(`${where}: ${what}`); };

const everywhere = ["/", "/recipes", "/runs", "/queue", "/approvals", "/apps", "/certificates", "/hosts", "/repositories",
  "/events", "/kinds", "/kinds/testruns.ci.coopcloud.tech"];
const more = {
  empty: ["/runs/default/none"],
  busy: ["/recipes/default/nextcloud", "/runs/default/nextcloud-005", "/runs/default/nextcloud-live", "/runs/default/nextcloud-live/log",
    "/runs/default/nextcloud-005/card", "/kinds/apps.ci.coopcloud.tech/default/cloud", "/do/test/recipes.ci.coopcloud.tech/default/ghost"],
  full: ["/recipes/default/recipe-07", "/runs?q=recipe-07", "/runs/default/run-00007"],
  failing: ["/recipes/default/nextcloud", "/runs/default/nextcloud-002", "/runs/default/nextcloud-002/log", "/runs/default/nextcloud-002/log?q=line",
    "/runs/default/mumble-pr4", "/approvals/default/mumble-pr4", "/runs/default/hedgedoc-002", "/do/approve/testruns.ci.coopcloud.tech/default/mumble-pr4",
    "/kinds/apps.ci.coopcloud.tech/default/cloud", "/kinds/testruns.ci.coopcloud.tech/default/nextcloud-002"],
};
// Filling a large store takes its time already.
const paths = scene === "full" ? ["/", "/recipes", "/runs", ...more.full] : [...everywhere, ...more[scene]];
const missing = new Set(["/runs/default/none"]);

const browser = await puppeteer.launch({
  executablePath: process.env.CC_CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"],
});
const looks = [
  { name: "desktop-light", viewport: { width: 1280, height: 900 }, scheme: "light", axe: true },
  { name: "phone-dark", viewport: { width: 390, height: 844, isMobile: true, hasTouch: true }, scheme: "dark", axe: true },
];

const watch = (page, where) => {
  page.on("console", (message) => { if (!(message.type() === "error" && message.text().includes("404") && missing.has(where.path))) complain(where.name, `console: ${message.text()}`); });
  page.on("pageerror", (error) => complain(where.name, `error: ${error.message}`));
  page.on("request", (request) => { if (!request.url().startsWith(base) && !request.url().startsWith("data:")) complain(where.name, `asks ${request.url()}`); });
  page.on("dialog", (dialog) => { complain(where.name, "a dialog opened"); dialog.dismiss(); });
};
const open = async (page, path) => {
  const answer = await page.goto(base + path, { waitUntil: "load", timeout: 60000 });
  const expected = missing.has(path) ? 404 : 200;
  if (answer.status() !== expected) complain(path, `answers ${answer.status()}`);
};
const file = (look, path) => `${pictures}/${look}${path.replace(/[^A-Za-z0-9]+/g, "_")}.png`;

// Sign in as people do.
const context = await browser.createBrowserContext();
const first = await context.newPage();
await first.goto(base + "/runs", { waitUntil: "load" });
if (!first.url().includes("/login")) complain("/runs", "a stranger is not asked to sign in");
await first.screenshot({ path: `${pictures}/sign-in.png` });
await first.type("input[name=credential]", process.env.CCD_TOKEN);
await Promise.all([first.waitForNavigation(), first.keyboard.press("Enter")]);
if (!first.url().endsWith("/runs")) complain("/login", `leads to ${first.url()}`);
await first.close();

const texts = new Map();
for (const look of looks) {
  const page = await context.newPage();
  const where = {};
  watch(page, where);
  await page.setViewport(look.viewport);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: look.scheme }]);
  for (const path of paths) {
    where.name = `${look.name} ${path}`;
    where.path = path;
    await open(page, path);
    const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (width > 1) complain(where.name, `is ${width} px wider than the window`);
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    for (const violation of found.violations) {
      complain(where.name, `${violation.id}: ${violation.nodes.slice(0, 3).map((node) => `${node.target} ${node.failureSummary}`).join(" | ")}`);
    }
    await page.screenshot({ path: file(look.name, path), fullPage: true });
    if (look === looks[0]) texts.set(path, await page.evaluate(() => document.querySelectorAll("main a, main button:not([hidden])").length));
  }
  await page.close();
}

// The same without JavaScript: everything that can be pressed is still there.
const plain = await context.newPage();
await plain.setJavaScriptEnabled(false);
for (const path of paths) {
  await open(plain, path);
  const html = await plain.content();
  if (!html.includes("<h1") || html.length < 500) complain(`plain ${path}`, "shows nothing");
}
await plain.close();

// Keyboard: the first stop is the link to the content, and focus can be seen.
const keys = await context.newPage();
await open(keys, "/");
await keys.keyboard.press("Tab");
const skip = await keys.evaluate(() => document.activeElement.textContent);
if (!skip.includes("Skip")) complain("keyboard", `the first stop is ${skip}`);
await keys.keyboard.press("Tab");
const outline = await keys.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
if (outline === "none") complain("keyboard", "focus cannot be seen");
await keys.close();

// A change arrives without a reload, and nothing on the page moves for it.
if (scene === "busy") {
  const page = await context.newPage();
  await page.evaluateOnNewDocument(() => {
    window.moved = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.moved += entry.value; })
      .observe({ type: "layout-shift", buffered: true });
  });
  await open(page, "/runs/default/ghost-live");
  await page.waitForFunction(() => document.getElementById("live-state").textContent === "live" && !document.getElementById("live-state").hidden);
  const before = await page.evaluate(() => { window.marker = 1; return window.moved; });
  const answer = await fetch(`${base}/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/ghost-live`, {
    method: "PATCH", headers: { authorization: `Bearer ${process.env.CCD_TOKEN}`, "content-type": "application/merge-patch+json" },
    body: JSON.stringify({ spec: { cancel: true } }),
  });
  if (answer.status !== 200) complain("live", `the change is refused: ${answer.status}`);
  await page.waitForFunction(() => document.getElementById("top").textContent.includes("being cancelled"), { timeout: 10000 });
  if (!await page.evaluate(() => window.marker === 1)) complain("live", "the page was loaded again");
  const moved = await page.evaluate(() => window.moved) - before;
  if (moved > 0.02) complain("live", `the page moves by ${moved}`);
  await page.close();
}

// A tab that nobody looks at for a while lets go of its connections, and goes on where it was.
if (scene === "busy") {
  const page = await context.newPage();
  await page.evaluateOnNewDocument(() => {
    const wait = window.setTimeout;
    window.setTimeout = (work, time, ...more) => wait(work, time >= 60000 ? 0 : time, ...more);
    window.sources = [];
    window.EventSource = class extends EventSource { constructor(...all) { super(...all); window.sources.push(this); } };
    let hidden = false;
    Object.defineProperty(document, "hidden", { get: () => hidden });
    window.hide = (is) => { hidden = is; document.dispatchEvent(new Event("visibilitychange")); };
  });
  await open(page, "/runs/default/nextcloud-live");
  const openSources = () => window.sources.filter((source) => source.readyState === EventSource.OPEN).length;
  await page.waitForFunction(() => window.sources.filter((source) => source.readyState === EventSource.OPEN).length === 2);
  await page.evaluate(() => window.hide(true));
  await page.waitForFunction(() => window.sources.every((source) => source.readyState === EventSource.CLOSED));
  const answer = await fetch(`${base}/apis/ci.coopcloud.tech/v1alpha1/namespaces/default/testruns/nextcloud-live`, {
    method: "PATCH", headers: { authorization: `Bearer ${process.env.CCD_TOKEN}`, "content-type": "application/merge-patch+json" },
    body: JSON.stringify({ spec: { cancel: true } }),
  });
  if (answer.status !== 200) complain("hidden", `the change is refused: ${answer.status}`);
  if (await page.evaluate(() => document.getElementById("top").textContent.includes("being cancelled"))) complain("hidden", "a hidden page changes");
  await page.evaluate(() => window.hide(false));
  await page.waitForFunction(() => document.getElementById("top").textContent.includes("being cancelled"), { timeout: 10000 });
  if (await page.evaluate(openSources) === 0) complain("hidden", "nothing is connected again");
  await page.close();
}

await browser.close();
console.log(`${scene}: ${paths.length} pages, ${problems.length} problems`);
if (problems.length) { console.error(problems.join("\n")); process.exit(1); }
