// Trials of wire.html: it sends what is picked or typed, and shows what really comes back.

import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  expectEqual,
  expectFitsPhones,
  expectIncludes,
  expectQuiet,
  isBuilder,
  isKept,
  open,
  settings,
  takeScreenshots,
} from "./support.mjs";

const { site, privateFile } = settings;

const PAGE = "/wire.html";

/** How long the server may take to respond to the command, in milliseconds. */
const RESPONSE_TIMEOUT = 20_000;

// What the page says about content. Where there are two, the first is for stages 1 to 3.
const NONE = "None";
const GUESSED_TEXT = "guesses: text/plain";
const PLAIN_TEXT = [GUESSED_TEXT, "text/plain; charset=utf-8, shown as text"];
const HTML = [GUESSED_TEXT, "text/html"];

/**
 * The requests that can be picked, in the order of the page. Each has the status that the page
 * shows (null: the browser refuses to send the request) and what it says about the content, or
 * about the refusal. `raw` is the status that the command gets, if the browser gets another.
 */
const PICKS = [
  { name: "A page", status: [200, 200], says: HTML },
  { name: "The first page", status: [200, 200], says: HTML },
  { name: "Plain text", status: [200, 200], says: PLAIN_TEXT },
  { name: "Only the head", status: [501, 200], says: [NONE, "never has content"] },
  { name: "A picture", status: [200, 200], says: ["guesses: image/jpeg", "is: image/jpeg"] },
  { name: "A drawing", status: [200, 200], says: [GUESSED_TEXT, "is: image/svg+xml"] },
  { name: "A sound", status: [200, 200], says: ["shown as bytes", "audio/wav, shown as bytes"] },
  { name: "An escaped name", status: [404, 200], says: PLAIN_TEXT },
  { name: "A query", status: [200, 200], says: PLAIN_TEXT },
  { name: "A missing page", status: [404, 404], says: HTML },
  { name: "A folder", status: [404, 404], raw: [404, 301], says: HTML },
  { name: "A private file", status: [200, 403], says: HTML },
  { name: "What is allowed", status: [501, 204], says: [GUESSED_TEXT, NONE] },
  { name: "A form", status: [501, 200], says: HTML },
  { name: "To delete", status: [501, 405], says: HTML },
  { name: "An unknown method", status: [501, 501], says: HTML },
  { name: "Out of the folder", status: [404, 404], says: HTML },
  {
    name: "Trace",
    status: [null, null],
    raw: [501, 405],
    says: ["doesn't send this with TRACE", "doesn't send this with TRACE"],
  },
  { name: "Two requests", status: [200, 200], says: PLAIN_TEXT },
];

/** The errors that the trials here ask for: the browser reports them on the console. */
const EXPECTED_ERRORS = [
  [403, `/${privateFile.name}`],
  [404, "/%E4%BD%A0%E5%A5%BD.txt"],
  [404, "/no/such/page"],
  [404, "/media"],
  [404, "/media/"],
  [404, "/Cargo.toml"],
  [404, "/a%20page"],
  [405, "/notes.txt"],
  [501, "/notes.txt"],
  [501, "/MyForm.html"],
  [501, "/coffee"],
];

/** Waits for the response, or for the reason why there is none. */
async function settle(page) {
  await page.locator(".answer:visible, .outcome.bad").first().waitFor();
}

async function pick(page, name) {
  await page.getByRole("button", { name, exact: true }).click();
  await settle(page);
}

/** Types a request in place of the one that is there, and sends it from the keyboard. */
async function send(page, request) {
  await page.fill("#request", request);
  await page.keyboard.press("Control+Enter");
  await settle(page);
}

/** The status that the page shows; null if there was no response. */
async function shownStatus(page) {
  if (await page.isHidden(".answer")) {
    return null;
  }
  return Number((await page.textContent(".status-line")).split(" ")[0]);
}

/** The bytes that the command on the page sends. A shell makes them. */
async function commandBytes(page, stage) {
  const command = await page.textContent(".command");
  const tail = ` | nc 127.0.0.1 ${stage.port}`;
  expectEqual("end of the command", command.slice(-tail.length), tail);
  const print = command.slice(0, -tail.length);
  const { stdout, stderr } = await promisify(execFile)("sh", ["-c", print], { encoding: "buffer" });
  expectEqual(`standard error of ${print}`, stderr.toString(), "");
  return stdout;
}

/** The responses to these bytes. Stage 6 keeps the connection until the client closes its side. */
async function rawResponses(stage, bytes) {
  const [host, port] = stage.address.split(":");
  const socket = connect(Number(port), host);
  socket.setTimeout(RESPONSE_TIMEOUT, () => socket.destroy(new Error("no response")));
  socket.end(bytes);
  let responses = "";
  for await (const chunk of socket) {
    responses += chunk.toString("latin1");
  }
  return responses;
}

/** Each pick sends its request, the page shows what came, and the command gets the same. */
async function picksAreSent(page, stage) {
  await open(page, stage, PAGE);
  const names = await page.locator(".picks button").allTextContents();
  expectEqual("picks", names, PICKS.map(({ name }) => name));
  const column = isBuilder(stage) ? 1 : 0;
  for (const { name, status, raw = status, says } of PICKS) {
    await pick(page, name);
    const shown = await shownStatus(page);
    expectEqual(`status of “${name}”`, shown, status[column]);
    const text = await page.textContent(shown === null ? ".outcome" : ".kind");
    expectIncludes(`kind of “${name}”`, text, says[column]);
    await expectContent(page, name);
    const received = await rawResponses(stage, await commandBytes(page, stage));
    expectEqual(`status of the command of “${name}”`, Number(received.split(" ")[1]), raw[column]);
  }
  await expectQuiet(page, EXPECTED_ERRORS);
}

/** A picture is decoded; text and bytes are shown. */
async function expectContent(page, name) {
  const isShown = await page.locator(".content").evaluate(async (content) => {
    const shown = content.firstElementChild;
    if (shown?.tagName !== "IMG") {
      return !shown || shown.textContent.length > 0;
    }
    await shown.decode();
    return shown.naturalWidth > 0;
  });
  expectEqual(`is the content of “${name}” shown`, isShown, true);
}

/** The page shows what the browser changed, the fields, the exact content, and the time. */
async function detailsAreShown(page, stage) {
  await open(page, stage, PAGE);
  await pick(page, "Out of the folder");
  const notes = await page.textContent(".notes");
  expectIncludes("notes", notes, "asks for /Cargo.toml, not for /../Cargo.toml");
  await pick(page, "A folder");
  const redirected = (await page.textContent(".notes")).includes("went on to /media/:");
  expectEqual("is the redirect shown", redirected, isBuilder(stage));
  await pick(page, "What is allowed");
  const allow = (await page.textContent(".fields")).includes("allowGET, HEAD, OPTIONS, POST");
  expectEqual("is Allow shown", allow, isBuilder(stage));
  await pick(page, "A form");
  const escaped = (await page.textContent(".content")).includes("&lt;script&gt; &amp; more");
  expectEqual("is the form processed", escaped, isBuilder(stage));

  await pick(page, "Plain text");
  const fields = await page.textContent(".fields");
  expectIncludes("fields", fields, `server${stage.name}`);
  for (const name of ["content-type", "content-length"]) {
    expectEqual(`is ${name} shown`, fields.includes(name), isBuilder(stage));
  }
  const content = readFileSync(join(site, "notes.txt"));
  expectEqual("content", await page.textContent(".content"), content.toString());
  const time = page.locator(".time", { hasText: "connection" });
  expectIncludes("time", await time.textContent(), `: ${content.length} bytes. The`);
  await expectFitsPhones(page);
  await takeScreenshots(page, stage, "wire-text");
  await pick(page, "A picture");
  await takeScreenshots(page, stage, "wire-picture");
  await expectQuiet(page, EXPECTED_ERRORS);
}

/** Stage 6 keeps a connection: the page says so, and the command gets two responses on one. */
async function keptConnectionIsShown(page, stage) {
  await open(page, stage, PAGE);
  await pick(page, "Two requests");
  const received = await rawResponses(stage, await commandBytes(page, stage));
  const count = received.split("HTTP/1.1 200 OK\r\n").length - 1;
  expectEqual("responses to two requests", count, isKept(stage) ? 2 : 1);
  if (isKept(stage)) {
    await pick(page, "Plain text");
    const kept = page.locator(".time", { hasText: "The connection was open already." });
    await kept.waitFor();
  }
  await expectQuiet(page, EXPECTED_ERRORS);
}

/** A typed request is sent, by the button and from the keyboard. */
async function typedRequestIsSent(page, stage) {
  await open(page, stage, PAGE);
  const request = `GET /${privateFile.name} HTTP/1.1\nX-Odd: 1\nHost: elsewhere\n\n`;
  await page.fill("#request", request);
  await page.click("form.wire button");
  await settle(page);
  expectEqual("status", await shownStatus(page), isBuilder(stage) ? 403 : 200);
  const shown = (await page.textContent(".content")).includes(privateFile.content.trim());
  expectEqual("is the private file shown", shown, !isBuilder(stage));
  const host = "A script can't set this in a browser: Host.";
  expectIncludes("notes", await page.textContent(".notes"), host);

  await send(page, "GET /a page HTTP/1.0\n\nsome content");
  expectEqual("status", await shownStatus(page), 404);
  const notes = await page.textContent(".notes");
  for (const note of ["asks for /a%20page", "HTTP/1.1, not HTTP/1.0", "no content with GET"]) {
    expectIncludes("notes", notes, note);
  }
  await expectQuiet(page, EXPECTED_ERRORS);
}

/** A link such as /wire.html#/notes.txt fills in its target. */
async function addressFillsIn(page, stage) {
  const request = (target) => `GET ${target} HTTP/1.1\nHost: 127.0.0.1:${stage.port}\n\n`;
  await open(page, stage, `${PAGE}#/contact.html?a=1`);
  const typed = request("/contact.html?a=1");
  expectEqual("request", await page.inputValue("#request"), typed);
  const bytes = await commandBytes(page, stage);
  expectEqual("bytes of the command", bytes.toString(), typed.replaceAll("\n", "\r\n"));
  await page.evaluate(() => { location.hash = "#/notes.txt"; });
  await page.waitForFunction((expected) =>
    document.querySelector("#request").value === expected, request("/notes.txt"));
  await expectQuiet(page);
}

/** A request that can't be sent is explained, and the next one is sent all the same. */
async function mistakesAreExplained(page, stage) {
  await open(page, stage, PAGE);
  for (const [request, message] of [
    ["", "There is no request line."],
    ["\nGET / HTTP/1.1\n\n", "There is no request line."],
    ["GET /", "“GET /” isn't a request line."],
    ["GET notes.txt HTTP/1.1\n\n", "The target “notes.txt” doesn't begin with a slash"],
    ["OPTIONS * HTTP/1.1\n\n", "The target “*” doesn't begin with a slash"],
    ["GET / HTTP/1.1\nHost : a\n\n", "“Host : a” isn't a header field."],
    ["GET / HTTP/1.1\nX-Name: 你\n\n", "The browser doesn't send this with GET"],
  ]) {
    await send(page, request);
    expectEqual(`status of ${JSON.stringify(request)}`, await shownStatus(page), null);
    expectIncludes("message", await page.textContent(".outcome"), message);
  }
  await send(page, "GET /notes.txt HTTP/1.1");
  expectEqual("status", await shownStatus(page), 200);
  expectIncludes("notes", await page.textContent(".notes"), "no empty line");
  await expectQuiet(page);
}

/** The command sends exactly what was typed, whatever it is. */
async function commandIsExact(page, stage) {
  await open(page, stage, PAGE);
  const content = "a 'quote' \"two\" 100% \\n \\\\ $HOME `id` !1\ttab\nend";
  for (const [request, sent] of [
    [
      `POST /你?50%25 HTTP/1.1\nX-A: it's 5 % \\x\n\n${content}`,
      `POST /你?50%25 HTTP/1.1\r\nX-A: it's 5 % \\x\r\n\r\n${content}`,
    ],
    ["-n\n\n", "-n\r\n\r\n"],
    ["GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["GET / HTTP/1.1\n", "GET / HTTP/1.1\r\n"],
    ["-1 8\u{7f}9", "-1 8\u{7f}9\r\n"],
    ["", ""],
  ]) {
    await page.fill("#request", request);
    const bytes = await commandBytes(page, stage);
    expectEqual("bytes of the command", bytes.toString(), sent);
  }
}

/** The button copies the command, or selects it where it may not copy. */
async function commandIsCopied(page, stage) {
  await open(page, stage, PAGE);
  await page.click("button.copy");
  await page.waitForFunction(() => document.querySelector(".copied").textContent !== "");
  if (await page.textContent(".copied") !== "Copied.") {
    const selected = await page.evaluate(() => getSelection().toString());
    expectEqual("selected text", selected, await page.textContent(".command"));
  }
}

/** A response that breaks off or never comes is explained, with what to do next. */
export async function brokenResponseIsExplained(page, server) {
  await open(page, server, PAGE);
  await send(page, "GET /cut HTTP/1.1\n\n");
  const cut = await page.textContent(".outcome");
  // The browser may discard what came before the end.
  expectIncludes("outcome", cut, "cut short: Content-Length promised 100 bytes, and");
  expectIncludes("outcome", cut, "and send it again");
  await send(page, "GET /gone HTTP/1.1\n\n");
  const gone = await page.textContent(".outcome");
  expectIncludes("outcome", gone, "No response came");
  expectIncludes("outcome", gone, `Is the server still running at 127.0.0.1:${server.port}?`);
  await send(page, "GET /notes.txt HTTP/1.1\n\n");
  expectEqual("status", await shownStatus(page), 200);
}

export const wireTrials = {
  "wire.html sends every pick": picksAreSent,
  "wire.html shows details": detailsAreShown,
  "wire.html shows a kept connection": keptConnectionIsShown,
  "wire.html sends what is typed": typedRequestIsSent,
  "wire.html takes a target from its address": addressFillsIn,
  "wire.html explains mistakes": mistakesAreExplained,
  "wire.html prints an exact command": commandIsExact,
  "wire.html copies the command": commandIsCopied,
};
