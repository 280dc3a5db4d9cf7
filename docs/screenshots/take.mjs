// Takes the pictures: node take.mjs URL FOLDER, with the token in CCD_TOKEN. Started by docs/screenshots/take.
import fs from "node:fs";
import puppeteer from "puppeteer-core";

const [base, folder] = process.argv.slice(2);
const BYTES_MAX = 80_000;
const desktop = { width: 1180, height: 820 };
const phone = { width: 390, height: 800, isMobile: true, hasTouch: true };

const browser = await puppeteer.launch({
  executablePath: process.env.CC_CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"],
});
const page = await browser.newPage();
await page.goto(`${base}/runs`, { waitUntil: "load" });
await page.type("input[name=credential]", process.env.CCD_TOKEN);
await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
const run = await page.$eval("main a[href^='/runs/']", (link) => link.getAttribute("href"));
const recipe = await page.goto(base + run).then(() => page.$eval("main a[href^='/recipes/']", (link) => link.getAttribute("href")));

const pictures = [
  ["home-light", "/", desktop, "light"],
  ["run-light", run, desktop, "light"],
  ["recipe-dark", recipe, desktop, "dark"],
  ["log-dark", `${run}/log`, desktop, "dark"],
  ["run-phone-dark", run, phone, "dark"],
  ["recipes-phone-light", "/recipes", phone, "light"],
];
for (const [name, path, viewport, scheme] of pictures) {
  await page.setViewport(viewport);
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  const answer = await page.goto(base + path, { waitUntil: "load" });
  if (answer.status() !== 200) throw new Error(`${path} answers ${answer.status()}`);
  const file = `${folder}/${name}.webp`;
  await page.screenshot({ path: file, type: "webp", quality: 70 });
  const { size } = fs.statSync(file);
  if (size > BYTES_MAX) throw new Error(`${file} has ${size} bytes`);
  console.log(`${file}: ${size} bytes of ${path}`);
}
await browser.close();
