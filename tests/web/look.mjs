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
const desktop = { width: 1280, height: 900 };
const phone = { width: 390, height: 844, isMobile: true, hasTouch: true };
const looks = [
  { name: "desktop-light", viewport: desktop, scheme: "light" },
  { name: "phone-dark", viewport: phone, scheme: "dark" },
  { name: "desktop-dark", viewport: desktop, scheme: "dark" },
  { name: "phone-light", viewport: phone, scheme: "light" },
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
    const typed = await page.evaluate(() => [...document.querySelectorAll("code")].some((code) => code.textContent.trim().startsWith("ccctl ")));
    if (!typed && !missing.has(path)) complain(where.name, "does not say how ccctl shows the same");
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

// A change arrives on every live page without a reload, and nothing there moves for it.
const ask = async (method, path, body) => {
  const answer = await fetch(base + path, {
    method, headers: { authorization: `Bearer ${process.env.CCD_TOKEN}`, "content-type": "application/merge-patch+json" }, body: JSON.stringify(body),
  });
  if (!answer.ok) complain("live", `${method} ${path} is refused: ${answer.status} ${await answer.text()}`);
};
const ours = "/apis/ci.coopcloud.tech/v1alpha1";
const moment = (seconds) => new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+/, "");
// What may change of the objects of a scene, as their reconcilers write it.
const changes = {
  busy: (at) => [
    [`${ours}/namespaces/default/testruns/ghost-live/status`, { status: { steps: [{ name: `upgrade-check-${at}`, startedAt: moment(-5) }] } }],
    [`${ours}/namespaces/default/testruns/nextcloud-live/status`, { status: { steps: [{ name: `upgrade-check-${at}`, startedAt: moment(-5) }] } }],
    [`${ours}/namespaces/default/testruns/peertube-queued-1/status`, { status: { queue: { position: 1, reason: `the ${at}th of 2 runs is about to end` } } }],
    [`${ours}/namespaces/default/testruns/nextcloud-005/status`, { status: { domain: `next-${at}.ci.example.org`, level: at % 2 ? 4 : 5 } }],
    [`${ours}/namespaces/default/recipes/nextcloud/status`, { status: { level: at % 2 ? 4 : 5, latestVersion: `1.${at}.0+29.0.5` } }],
    [`${ours}/namespaces/default/apps/cloud/status`, { status: { observed: { version: `2.1.${at}+29.0.5` } } }],
    [`${ours}/namespaces/default/certificates/wildcard/status`, { status: { serial: `049b${at}`, notAfter: moment(86400 * (40 + at)) } }],
    [`${ours}/hosts/here/status`, { status: { running: at % 3, engineVersion: `27.5.${at}` } }],
    [`${ours}/namespaces/default/repositories/mumble/status`, { status: { counts: { seen: 412 + at } } }],
    ["/api/v1/namespaces/default/events/nextcloud-live.1", { count: 3 + at, lastTimestamp: moment(0) }],
  ],
  failing: (at) => [
    [`${ours}/namespaces/default/testruns/mumble-pr4/status`, { status: { conditions: [{ type: "Approved", status: "False", reason: "ApprovalNeeded",
      message: `the pull request comes from a fork: a maintainer looks at its head commit, ${at} of them already did`, lastTransitionTime: moment(-600) }] } }],
    [`${ours}/namespaces/default/testruns/nextcloud-002/status`, { status: { domain: `next-${at}.ci.example.org` } }],
  ],
};
const live = { busy: paths.filter((path) => path !== "/approvals"), failing: ["/approvals", "/runs/default/mumble-pr4", "/runs/default/nextcloud-002"] };
const watched = [];
for (const look of scene in live ? looks.slice(0, 2) : []) {
  const page = await context.newPage();
  await page.setViewport(look.viewport);
  await page.evaluateOnNewDocument(() => {
    window.moved = 0;
    new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.moved += entry.value; })
      .observe({ type: "layout-shift", buffered: true });
    window.hashes = () => [...document.querySelectorAll("#main .part")].map((part) => `${part.id} ${part.dataset.hash}`).join();
  });
  for (const path of live[scene]) {
    await open(page, path);
    if (!await page.evaluate(() => document.getElementById("main").dataset.live)) continue;
    const where = `${look.name} ${path}`;
    watched.push(where);
    await page.waitForFunction(() => document.getElementById("live-state").textContent === "live" && !document.getElementById("live-state").hidden);
    const before = await page.evaluate(() => { window.marker = 1; window.before = window.hashes(); return window.moved; });
    for (const [place, body] of changes[scene](watched.length)) await ask("PATCH", place, body);
    const arrived = page.waitForFunction(() => window.hashes() !== window.before, { timeout: 10000 });
    if (!await arrived.then(() => true, () => false)) { complain(where, "shows no change"); continue; }
    const moved = await page.evaluate(() => new Promise((done) => setTimeout(() => done(window.moved), 300))) - before;
    if (moved > 0.02) complain(where, `moves by ${moved}`);
    if (!await page.evaluate(() => window.marker === 1)) complain(where, "was loaded again");
  }
  await page.close();
}
if (scene in live) console.log(`${scene}: ${watched.length} live pages`);

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
  await ask("PATCH", `${ours}/namespaces/default/testruns/nextcloud-live`, { spec: { cancel: true } });
  if (await page.evaluate(() => document.getElementById("top").textContent.includes("being cancelled"))) complain("hidden", "a hidden page changes");
  await page.evaluate(() => window.hide(false));
  await page.waitForFunction(() => document.getElementById("top").textContent.includes("being cancelled"), { timeout: 10000 });
  if (await page.evaluate(openSources) === 0) complain("hidden", "nothing is connected again");
  await page.close();
}

await browser.close();
console.log(`${scene}: ${paths.length} pages, ${problems.length} problems`);
if (problems.length) { console.error(problems.join("\n")); process.exit(1); }
