// What the trials share: how they open pages, and what every page must satisfy.

import { join } from "node:path";
import { inspect, isDeepStrictEqual } from "node:util";

/** What the Rust test passes on: the programs, the folders, and the running stages. */
export const settings = JSON.parse(process.argv[2]);

/** The widths of phones, in pixels. */
const PHONES = [320, 375];

const SCREENSHOTS = [
  { name: "1200-light", width: 1200, colorScheme: "light" },
  { name: "1200-dark", width: 1200, colorScheme: "dark" },
  { name: "375-dark", width: 375, colorScheme: "dark" },
];

/** Whether a stage sends types and lengths, checks permissions, and knows more than GET. */
export const isBuilder = (stage) => stage.number >= 4;

/** Whether a stage keeps a connection open for the next request. */
export const isKept = (stage) => stage.number === 6;

/** The errors and warnings on the console of each page. */
const problems = new WeakMap();

/** A page of its own, like a private window. */
export async function newPage(browser) {
  const context = await browser.newContext();
  const page = await context.newPage();
  // Each trial fetches everything again.
  const session = await context.newCDPSession(page);
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  page.on("pageerror", (error) => problems.get(page).push({ text: String(error), url: "" }));
  page.on("console", (message) => {
    const { url } = message.location();
    // For a page that names no icon, the browser asks for this one. Nobody can say when, so the error
    // may come in the next trial.
    const isForMissingIcon = url.endsWith("/favicon.ico");
    if (["error", "warning", "assert"].includes(message.type()) && !isForMissingIcon) {
      problems.get(page).push({ text: `${message.type()}: ${message.text()}`, url });
    }
  });
  await reset(page);
  return page;
}

/** Prepares a page for the next trial, which leaves it. */
export async function reset(page) {
  await page.setViewportSize({ width: 1200, height: 800 });
  await page.emulateMedia({ colorScheme: "light" });
  problems.set(page, []);
}

/** Opens a target of a stage where a student finds it, and returns the status code. */
export async function open(page, stage, target) {
  const response = await page.goto(`http://127.0.0.1:${stage.port}${target}`);
  if (!response) {
    // Only the fragment differs from where the last trial has left the page.
    return (await page.reload()).status();
  }
  return response.status();
}

/** Does something that leads to another page, and returns the status code of that page. */
export async function follow(page, action) {
  // The form leads to its own address, so page.waitForURL can't tell the two pages apart.
  const [response] = await Promise.all([page.waitForNavigation(), action()]);
  return response.status();
}

export function expectEqual(what, received, expected) {
  if (!isDeepStrictEqual(received, expected)) {
    fail(what, inspect(expected), inspect(received));
  }
}

export function expectIncludes(what, text, part) {
  if (!text.includes(part)) {
    fail(what, `a text with ${inspect(part)}`, inspect(text));
  }
}

function fail(what, expected, received) {
  throw new Error(`${what}\n  expected: ${expected}\n  received: ${received}`);
}

/**
 * Fails if the console shows an error or a warning. The browser itself reports responses with an
 * error status there: those that a trial asks for are `expected`, as pairs of status and target.
 */
export async function expectQuiet(page, expected = []) {
  // Everything that has happened is reported before this returns.
  await page.evaluate("0");
  const failed = "error: Failed to load resource: the server responded with a status of";
  const isExpected = ({ text, url }) => expected.some(([status, target]) =>
    text.startsWith(`${failed} ${status} `) && url.endsWith(target));
  const unexpected = problems.get(page).filter((problem) => !isExpected(problem));
  expectEqual("problems on the console", unexpected, []);
}

/** Fails unless the style sheet has taken effect: it looks at colors and boxes. */
export async function expectStyled(page) {
  const style = await page.evaluate(() => {
    const body = getComputedStyle(document.body);
    const main = getComputedStyle(document.querySelector("main"));
    return [body.backgroundColor, body.marginTop, main.paddingTop];
  });
  expectEqual("style of the page", style, ["rgb(238, 244, 244)", "0px", "40px"]);
  const bars = await page.locator(".site-head").evaluateAll((heads) =>
    heads.map((head) => getComputedStyle(head.querySelector("nav")).display));
  expectEqual("style of the bar", bars, bars.map(() => "flex"));
}

/** Fails if any part of the page is wider than a phone. */
export async function expectFitsPhones(page) {
  for (const width of PHONES) {
    await page.setViewportSize({ width, height: 800 });
    const tooWide = await page.evaluate((width) => {
      if (document.documentElement.scrollWidth <= width) {
        return null;
      }
      const elements = Array.from(document.querySelectorAll("body *"));
      const wide = elements.filter((element) => element.getBoundingClientRect().right > width);
      return wide.map((element) => element.outerHTML.slice(0, 100)).slice(0, 5);
    }, width);
    expectEqual(`wider than ${width} px`, tooWide, null);
  }
}

/** Takes pictures of a page for a person to look at, through three stages. */
export async function takeScreenshots(page, stage, name) {
  if (![1, 4, 6].includes(stage.number)) {
    return;
  }
  for (const screenshot of SCREENSHOTS) {
    await page.setViewportSize({ width: screenshot.width, height: 800 });
    await page.emulateMedia({ colorScheme: screenshot.colorScheme });
    const file = `${name}-${stage.name}-${screenshot.name}.png`;
    await page.screenshot({ path: join(settings.screenshots, file), fullPage: true });
  }
}
