// Django's administration and the site with members as people use them, in Chromium.
//
// tests/suite/tests/integration/applications.rs starts stage 5 and then this script. Its arguments
// are the name of a trial, the address of the stage, the folder of the browser's driver, the browser,
// and the process ids of the workers.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [trial, url, modules, executablePath, ...workers] = process.argv.slice(2);

/** A name that becomes markup if a page forgets to escape it. */
const NAME = "<script>document.title = 'broken'</script>";

/** Fails unless an element says this. */
async function expectText(page, selector, expected) {
  assert.equal((await page.textContent(selector)).trim().replace(/\s+/g, " "), expected);
}

/** Whether there is such a process. */
function exists(id) {
  try {
    return process.kill(Number(id), 0);
  } catch {
    return false;
  }
}

async function admin(page) {
  await page.goto(`${url}/django/admin/`);
  await page.fill("#id_username", "admin");
  await page.fill("#id_password", "secret");
  await page.click("input[type=submit]");
  await page.click("text=Groups");
  await page.click(".addlink >> text=Add group");
  await page.fill("#id_name", NAME);
  await page.click("input[name=_save]");
  await expectText(page, ".success", `The group “${NAME}” was added successfully.`);
  await page.click("#result_list .field-__str__ a");
  await page.click(".deletelink");
  await page.click("input[type=submit]");
  await expectText(page, ".success", `The group “${NAME}” was deleted successfully.`);
  await page.click("#logout-form button");
  await expectText(page, "h1", "Logged out");
}

async function members(page) {
  const send = async (password) => {
    await page.fill("#name", NAME);
    await page.fill("#password", password);
    await page.click("main button");
  };
  await page.goto(`${url}/members/register`);
  await send("a long password");
  await expectText(page, "h1", `Welcome, ${NAME}`);
  await expectText(page, "li", NAME);
  for (const worker of workers) {
    process.kill(Number(worker), "SIGKILL");
  }
  // A request that reaches a worker while it dies is lost with it.
  for (let attempt = 0; workers.some(exists); attempt++) {
    assert(attempt < 500, "a worker is still there");
    await page.waitForTimeout(10);
  }
  await page.reload();
  await expectText(page, "h1", `Welcome, ${NAME}`);
  await page.click("text=Log out");
  await expectText(page, "h1", "Members");
  await page.click("text=Log in");
  await send("another password");
  await expectText(page, "[role=alert]", "The name or the password is wrong.");
  await send("a long password");
  await expectText(page, "h1", `Welcome, ${NAME}`);
}

// The caller removes this folder, whatever becomes of the browser.
process.env.TMPDIR = process.env.HOME;
const { chromium } = createRequire(`${modules}/`)("playwright-core");
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("response", (response) => {
    // A form with a mistake is shown again.
    if (response.status() >= 400 && response.status() !== 422) {
      problems.push(`${response.status()} ${response.url()}`);
    }
  });
  await { admin, members }[trial](page);
  assert.deepEqual(problems, []);
} finally {
  await browser.close();
}
