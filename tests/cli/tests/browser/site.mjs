// The site in html/ as people see it: every page through every stage, in Chromium.
//
// tests/cli/tests/integration/browser.rs starts the stages and then this script. Screenshots go to
// target/screenshots, for a person to look at.

import { readdirSync } from "node:fs";
import { createServer, get } from "node:http";
import { createRequire } from "node:module";
import { after, describe, it } from "node:test";
import {
  expectEqual,
  expectFitsPhones,
  expectIncludes,
  expectQuiet,
  expectStyled,
  follow,
  isBuilder,
  newPage,
  open,
  reset,
  settings,
  takeScreenshots,
} from "./support.mjs";
import { brokenResponseIsExplained, wireTrials } from "./wire.mjs";

const { stages, site, privateFile } = settings;

/** How long a trial may take, in milliseconds. */
const TRIAL_TIMEOUT = 60_000;

/** The port of a server that breaks off some of its responses. */
const BROKEN_PORT = 9099;

// Trials of every page in html/.

/** A page opens, is styled, names its icon, and shows its pictures, and nothing complains. */
async function pageOpens(page, stage, file) {
  const target = file === "index.html" ? "/" : `/${file}`;
  expectEqual("status", await open(page, stage, target), 200);
  await expectStyled(page);
  expectEqual("icons of the page", await page.locator("link[rel=icon]").count(), 1);
  await expectPictures(page, stage);
  const isInBar = await page.locator(`.site-head a[href="${target}"]`).count() > 0;
  const current = await page.locator(".site-head [aria-current=page]").evaluateAll((links) =>
    links.map((link) => link.pathname));
  expectEqual("links in the bar that are marked as this page", current, isInBar ? [target] : []);
  await expectQuiet(page);
  await takeScreenshots(page, stage, file.replace(".html", "").replaceAll("/", "-"));
}

/** Every picture is decoded, the icon too. */
async function expectPictures(page, stage) {
  const pictures = await page.locator("img, link[rel=icon]").evaluateAll((elements) =>
    Promise.all(elements.map(async (element) => {
      const picture = new Image();
      picture.src = element.currentSrc || element.src || element.href;
      const decodes = await picture.decode().then(() => true, () => false);
      const isShown = element.tagName !== "IMG" || element.naturalWidth > 0;
      return { path: new URL(picture.src).pathname, isShown: decodes && isShown };
    })));
  for (const { path, isShown } of pictures) {
    // Stages 1 to 3 don't send the type of a drawing, and no browser guesses it.
    expectEqual(`is ${path} shown`, isShown, isBuilder(stage) || !path.endsWith(".svg"));
  }
}

async function pageFitsPhones(page, stage, file) {
  await open(page, stage, `/${file}`);
  await expectFitsPhones(page);
}

// Trials of what the site does.

/** What a person might type to break a form. */
const NAME = "<script>document.title = 'broken'</script>";
const REMARKS = "1 + 1 = 2 & \"quotes\", 'others', 50 %; &lt;\n你好, é";

/** The form is filled in and sent. Stage 4 shows each field as it was typed. */
async function formIsProcessed(page, stage) {
  await open(page, stage, "/MyForm.html");
  await page.fill("#name", NAME);
  await page.fill("#remarks", REMARKS);
  await page.fill("#day", "2026-02-28");
  await page.click("#rust-some");
  await page.click("#ran-1");
  const status = await follow(page, () => page.click("button[type=submit]"));
  if (!isBuilder(stage)) {
    expectEqual("status of POST", status, 501);
    await expectQuiet(page, [[501, "/MyForm.html"]]);
    return;
  }
  expectEqual("status of POST", status, 200);
  const rows = await page.locator("tr").evaluateAll((rows) => rows.map((row) =>
    `${row.querySelector("th").textContent}: ${row.querySelector("td").textContent}`));
  expectEqual("fields", rows, [
    "form: MyForm",
    `name: ${NAME}`,
    "email: ",
    "day: 2026-02-28",
    "hours: 3",
    "rust: some",
    "stage: 1",
    "stage: 4",
    "next: keep-alive",
    `remarks: ${REMARKS}`,
  ]);
  expectEqual("title", await page.title(), "What the server received");
  await expectStyled(page);
  await expectQuiet(page);
  await expectFitsPhones(page);
  await takeScreenshots(page, stage, "response-to-form");
}

/** The footer names the stage that served the page. */
async function footerNamesStage(page, stage) {
  await open(page, stage, "/");
  const footer = await page.textContent("[data-served]");
  expectIncludes("footer", footer, `This page was served by stage ${stage.number},`);
  expectIncludes("footer", footer, `Lesson ${stage.number}`);
  await open(page, stage, "/zh/index.html");
  const chineseFooter = await page.textContent("[data-served]");
  expectIncludes("Chinese footer", chineseFooter, `第 ${stage.number} 课`);
  expectEqual("status", await follow(page, () => page.click("[data-served] a")), 200);
}

/** In a block of the lessons, a selection has neither prompts nor output. */
async function consoleCopiesWhatOneTypes(page, stage) {
  await open(page, stage, "/lessons/lesson-0.html");
  const copied = await page.locator(".console.own pre").first().evaluate((block) => {
    getSelection().selectAllChildren(block);
    return getSelection().toString();
  });
  const typed = "nc 127.0.0.1 7788\nGET /notes.txt HTTP/1.1\nHost: lab\n";
  expectEqual("what is copied", copied.trimEnd(), typed.trimEnd());
}

async function searchIsShown(page, stage) {
  const query = "<b>one & two</b> + 你";
  await open(page, stage, "/simple_navbar.html");
  await page.fill("#q", query);
  expectEqual("status", await follow(page, () => page.keyboard.press("Enter")), 200);
  expectIncludes("search", await page.textContent("[data-query]"), `“${query}”`);
  expectEqual("field", await page.inputValue("#q"), query);
  await expectQuiet(page);
}

async function dropdownOpensAndCloses(page, stage) {
  await open(page, stage, "/simple_navbar.html");
  const expectOpen = async (when, expected) =>
    expectEqual(`is the dropdown open ${when}`, await page.isVisible(".bar details li"), expected);
  await expectOpen("at first", false);
  await page.click(".bar summary");
  await expectOpen("after a click", true);
  await page.keyboard.press("Escape");
  await expectOpen("after Escape", false);
  await page.keyboard.press("Enter");
  await expectOpen("after Enter", true);
  await page.click("h1");
  await expectOpen("after a click elsewhere", false);
  await page.click(".bar summary");
  // Its links lead to the same page of the other stages.
  expectEqual("status", await follow(page, () => page.click(".bar li a")), 200);
  expectIncludes("page of the first link", await page.textContent("[data-served]"), "stage 1,");
}

async function missingPageIsExplained(page, stage) {
  const target = "/no/such/page";
  expectEqual("status", await open(page, stage, target), 404);
  await expectQuiet(page, [[404, target]]);
  const text = await page.innerText("body");
  if (!isBuilder(stage)) {
    expectIncludes("page", text, "404");
    return;
  }
  expectIncludes("page", text, "There is nothing at this address");
  await expectStyled(page);
  await expectPictures(page, stage);
}

async function privateFileIsExplained(page, stage) {
  const target = `/${privateFile.name}`;
  const status = await open(page, stage, target);
  const text = await page.innerText("body");
  if (!isBuilder(stage)) {
    expectEqual("status", status, 200);
    expectIncludes("page", text, privateFile.content.trim());
    return;
  }
  expectEqual("status", status, 403);
  await expectQuiet(page, [[403, target]]);
  expectIncludes("page", text, "This file is not meant for everybody");
  await expectStyled(page);
}

// Running the trials.

/**
 * A server that breaks off its response to /cut, closes the connection without a response to
 * /gone, and gets everything else from a stage.
 */
function brokenServer(stage) {
  return createServer((request, response) => {
    if (request.url === "/gone") {
      request.socket.end();
    } else if (request.url === "/cut") {
      response.writeHead(200, { "Content-Length": 100 });
      response.write("ten bytes.", () => request.socket.end());
    } else {
      get(`http://${stage.address}${request.url}`, (original) => {
        response.writeHead(original.statusCode, original.headers);
        original.pipe(response);
      });
    }
  });
}

const broken = brokenServer(stages.at(-1));
await new Promise((listens) => broken.listen(0, "127.0.0.1", listens));

// The browser finds each server at its usual port, and nothing else: nothing leaves this machine.
const rules = stages.map((stage) => `MAP 127.0.0.1:${stage.port} ${stage.address}`);
rules.push(`MAP 127.0.0.1:${BROKEN_PORT} 127.0.0.1:${broken.address().port}`, "MAP * ~NOTFOUND");

// The caller removes this folder, whatever becomes of the browser.
process.env.TMPDIR = settings.scratch;
process.env.HOME = settings.scratch;
const require = createRequire(`${settings.modules}/`);
const browser = await require("playwright-core").chromium.launch({
  executablePath: settings.chromium,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--host-resolver-rules=${rules.join(", ")}`,
  ],
});
after(async () => {
  broken.close();
  await browser.close();
});

// Pages that no trial is using: to open one takes longer than most trials.
const idlePages = [];

/** Registers a trial, which has a page to itself. */
function trial(name, run) {
  it(name, { timeout: TRIAL_TIMEOUT }, async () => {
    const page = idlePages.pop() ?? await newPage(browser);
    await run(page);
    // Only a page on which everything went well is used again.
    await reset(page);
    idlePages.push(page);
  });
}

const siteTrials = {
  "form is processed": formIsProcessed,
  "footer names the stage": footerNamesStage,
  "console copies what one types": consoleCopiesWhatOneTypes,
  "search is shown": searchIsShown,
  "dropdown opens and closes": dropdownOpensAndCloses,
  "missing page is explained": missingPageIsExplained,
  "private file is explained": privateFileIsExplained,
};
const pages = readdirSync(site, { recursive: true }).filter((file) => file.endsWith(".html"));

for (const stage of stages) {
  // Two trials at a time: more would not be faster.
  describe(stage.name, { concurrency: 2 }, () => {
    for (const file of pages) {
      trial(`${file} opens`, (page) => pageOpens(page, stage, file));
      // The lessons are many, and what they look like doesn't depend on the stage.
      if (!file.includes("lessons/") || stage === stages.at(-1)) {
        trial(`${file} fits phones`, (page) => pageFitsPhones(page, stage, file));
      }
    }
    for (const [name, run] of Object.entries({ ...siteTrials, ...wireTrials })) {
      trial(name, (page) => run(page, stage));
    }
  });
}
describe("a server that breaks off its responses", () => {
  trial("wire.html explains it", (page) => brokenResponseIsExplained(page, { port: BROKEN_PORT }));
});
