// Signs in with an account of a forge, as people do: node sign-in.mjs URL PICTURES USER [PASSWORD], where USER is who they
// must be afterwards. With a password, the forge asks for it first.
import fs from "node:fs";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [base, pictures, user, password] = process.argv.slice(2);
fs.mkdirSync(pictures, { recursive: true });
const must = (is, what) => { if (!is) throw new Error(what); };

const browser = await puppeteer.launch({
  executablePath: process.env.CC_CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"],
});
const page = await browser.newPage();
const problems = [];
// What the forge's own pages complain about is not ours to mend.
page.on("console", (message) => { if (page.url().startsWith(base)) problems.push(message.text()); });
await page.goto(`${base}/queue`, { waitUntil: "load" });
must(page.url().endsWith("/login?next=/queue"), `a stranger is at ${page.url()}`);
await page.evaluate(axe);
const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
must(found.violations.length === 0, JSON.stringify(found.violations.map((violation) => violation.id)));
await page.screenshot({ path: `${pictures}/doors.png` });
await Promise.all([page.waitForNavigation(), page.click("a[href^='/login/forge/home']")]);
if (password) {
  must(page.url().includes("/user/login"), `the button leads to ${page.url()}`);
  await page.type("#user_name", user.split(":").pop());
  await page.type("#password", password);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
}
must(page.url().includes("/login/oauth/authorize"), `the button leads to ${page.url()}`);
await Promise.all([page.waitForNavigation(), page.click("#authorize-app")]);
must(page.url() === `${base}/queue`, `the forge leads back to ${page.url()}`);
const who = await page.$eval(".who .user", (shown) => shown.textContent);
must(who === user, `${who} is signed in`);
await Promise.all([page.waitForNavigation(), page.click(".who form button")]);
must(page.url().endsWith("/login"), `signing out leads to ${page.url()}`);
must(problems.length === 0, problems.join("\n"));
await browser.close();
