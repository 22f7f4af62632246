// The page wire.html: sends a request that was typed, and shows what came back.
"use strict";

// How much of a response is read and shown, in bytes, and how long it may take, in milliseconds.
const READ_LIMIT = 1024 * 1024;
const TEXT_LIMIT = 16 * 1024;
const HEX_LIMIT = 512;
const TIME_LIMIT = 30_000;

// How often to ask whether the browser used a new connection, and how long to wait, in milliseconds.
const ENTRY_TRIES = 10;
const ENTRY_DELAY = 20;

const FORM = "name=Ada&text=%3Cscript%3E+%26+more";
const FORM_FIELDS = `Content-Type: application/x-www-form-urlencoded\nContent-Length: ${FORM.length}\n`;

// The requests that can be picked.
const PICKS = [
  { name: "A page", target: "/contact.html" },
  { name: "The first page", target: "/" },
  { name: "Plain text", target: "/notes.txt" },
  { name: "Only the head", method: "HEAD", target: "/notes.txt" },
  { name: "A picture", target: "/media/waves.jpg" },
  { name: "A drawing", target: "/media/exchange.svg" },
  { name: "A sound", target: "/media/chime.wav" },
  { name: "An escaped name", target: "/%E4%BD%A0%E5%A5%BD.txt" },
  { name: "A query", target: "/notes.txt?q=wire" },
  { name: "A missing page", target: "/no/such/page" },
  { name: "A folder", target: "/media", note: "From stage 4 on, the server redirects a folder without its slash." },
  { name: "A private file", target: "/diary.txt", note: "Not there? Lesson 4 creates diary.txt and makes it private with chmod 600." },
  { name: "What is allowed", method: "OPTIONS", target: "/MyForm.html" },
  { name: "A form", method: "POST", target: "/MyForm.html", fields: FORM_FIELDS, content: FORM },
  { name: "To delete", method: "DELETE", target: "/notes.txt" },
  { name: "An unknown method", method: "BREW", target: "/coffee" },
  { name: "Out of the folder", target: "/../Cargo.toml" },
  { name: "Trace", method: "TRACE", target: "/" },
  {
    name: "Two requests",
    target: "/notes.txt",
    content: `GET /contact.html HTTP/1.1\nHost: ${location.host}\nConnection: close\n\n`,
    note: "A browser sends the second request after the first response. The command sends both at once. Stage 6 responds to both, the other stages close after the first response.",
  },
];

const find = (selector) => document.querySelector(selector);
const typed = find("#request");
let pickNote = "";
let underWay = null;

// Reading what was typed

/** A request as it is written on the wire. */
function written({ method = "GET", target, fields = "", content = "" }) {
  return `${method} ${target} HTTP/1.1\nHost: ${location.host}\n${fields}\n${content}`;
}

/** Splits what was typed at its first empty line. */
function split(text) {
  const end = text.indexOf("\n\n");
  return end < 0
    ? { head: text.replace(/\n$/, ""), content: "", ended: false }
    : { head: text.slice(0, end), content: text.slice(end + 2), ended: true };
}

/** Parses a request. An error names the part that is malformed. */
function parse(text) {
  const { head, content, ended } = split(text);
  const [line, ...fieldLines] = head.split("\n");
  if (line.trim() === "") {
    throw new Error("There is no request line. Begin with one, such as: GET / HTTP/1.1");
  }
  const parts = /^(\S+) (.+) (HTTP\/[0-9]\.[0-9])$/.exec(line);
  if (!parts) {
    throw new Error(`“${line}” isn't a request line. It needs a method, a target and a version with single spaces between them: GET / HTTP/1.1. The command below sends it as it is.`);
  }
  const [, method, target, version] = parts;
  if (!target.startsWith("/")) {
    throw new Error(`The target “${target}” doesn't begin with a slash, and a browser sends no other targets. Write /${target.replace(/^\*/, "")}, or use the command below.`);
  }
  const fields = fieldLines.map((fieldLine) => {
    const field = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)$/.exec(fieldLine);
    if (!field) {
      throw new Error(`“${fieldLine}” isn't a header field. It needs a name, directly followed by a colon, and a value: Accept: text/plain. The command below sends it as it is.`);
    }
    return [field[1], field[2].trim()];
  });
  return { method, target, version, fields, content, ended };
}

/** The bytes of what was typed. In the head, lines end in CRLF. The content stays as it is. */
function bytesOf(text) {
  const { head, content, ended } = split(text);
  const lines = head === "" ? "" : `${head.replaceAll("\n", "\r\n")}\r\n`;
  return new TextEncoder().encode(ended ? `${lines}\r\n${content}` : lines);
}

/** A shell command that sends these bytes (POSIX printf). */
function command(bytes) {
  const escapes = { 10: "\\n", 13: "\\r", 37: "%%", 92: "\\\\" };
  const escaped = Array.from(bytes, (byte, place) => {
    if (escapes[byte]) {
      return escapes[byte];
    }
    // A quote would end the word, and a dash at the beginning would start an option.
    const plain = byte >= 32 && byte < 127 && byte !== 39 && !(byte === 45 && place === 0);
    return plain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`;
  });
  const host = location.hostname.replace(/^\[|\]$/g, "");
  return `printf '${escaped.join("")}' | nc ${host} ${location.port || 80}`;
}

// Sending it

/** The request as the browser will send it, and notes on what it changes. */
function prepare(parsed) {
  const { method, target, version, fields, content, ended } = parsed;
  const notes = [];
  const bare = method === "GET" || method === "HEAD";
  const address = new URL(location.origin + target);
  let request;
  try {
    request = new Request(address, {
      method,
      headers: fields,
      body: bare || content === "" ? undefined : content,
      cache: "no-store",
    });
  } catch (error) {
    throw new Error(`The browser doesn't send this with ${method}: ${error.message} The command below does.`);
  }
  const asked = address.pathname + address.search;
  if (asked !== target) {
    notes.push(`The browser asks for ${asked}, not for ${target}.`);
  }
  if (request.method !== method) {
    notes.push(`The browser writes the method as ${request.method}.`);
  }
  if (version !== "HTTP/1.1") {
    notes.push(`The browser sends HTTP/1.1, not ${version}.`);
  }
  // A correct Host is no loss, and neither is the length that the browser would compute.
  const given = { host: location.host, "content-length": String(new TextEncoder().encode(content).length) };
  const lost = fields.filter(([name, value]) => !request.headers.has(name) && given[name.toLowerCase()] !== value);
  if (lost.length > 0) {
    const names = lost.map(([name]) => name).join(", ");
    notes.push(`A script can't set this in a browser: ${names}. The browser sends its own, or none.`);
  }
  if (bare && content !== "") {
    notes.push(`The browser sends no content with ${method}, so yours is left out.`);
  }
  if (!ended) {
    notes.push("There is no empty line after the fields. The browser adds it. With the command below, the server would wait for it.");
  }
  return { request, notes };
}

/** Reads the content, at most READ_LIMIT bytes of it. `fault` is set if it ends early. */
async function readContent(response) {
  const parts = [];
  let length = 0;
  let fault = null;
  let whole = true;
  const reader = response.body?.getReader();
  try {
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) {
      parts.push(part.value);
      length += part.value.length;
      if (length >= READ_LIMIT) {
        whole = false;
        await reader.cancel();
        break;
      }
    }
  } catch (error) {
    fault = error;
  }
  const bytes = new Uint8Array(await new Blob(parts).arrayBuffer());
  return { bytes, fault, whole };
}

/** Sends what was typed and shows what comes back. */
async function send() {
  underWay?.abort();
  const mine = new AbortController();
  underWay = mine;
  clear();
  let begun = 0;
  try {
    const { request, notes } = prepare(parse(typed.value));
    showNotes(pickNote ? [...notes, pickNote] : notes);
    say("Sent. Waiting for the response.");
    begun = performance.now();
    performance.clearResourceTimings();
    const limit = AbortSignal.timeout(TIME_LIMIT);
    const response = await fetch(request, { signal: AbortSignal.any([mine.signal, limit]) });
    const head = performance.now() - begun;
    const content = await readContent(response);
    const end = performance.now() - begun;
    if (underWay === mine) {
      show(response, request, content, head, end);
      await showConnection(request, mine);
    }
  } catch (error) {
    // A newer request has replaced this one: nothing to report.
    if (underWay === mine) {
      say(begun === 0 ? error.message : failure(error), true);
    }
  }
}

/** Why there was no response, and what to do. */
function failure(error) {
  return error.name === "TimeoutError"
    ? `No response came within ${TIME_LIMIT / 1000} seconds. Is the server busy with another client? Send it again.`
    : `No response came (${error.message}). Is the server still running at ${location.host}? Look at its terminal, start it again if necessary, and send it again.`;
}

// Showing the response

function say(text, bad = false) {
  const outcome = find(".outcome");
  outcome.textContent = text;
  outcome.classList.toggle("bad", bad);
}

function clear() {
  find(".answer").hidden = true;
  showNotes([]);
  const picture = find(".content img");
  if (picture) {
    URL.revokeObjectURL(picture.src);
  }
}

/** An element with text, which stays text whatever is in it. */
function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function showNotes(notes) {
  find(".notes").replaceChildren(...notes.map((note) => element("li", note)));
}

const milliseconds = (time) => `${time.toFixed(1)} ms`;
const counted = (count) => `${count.toLocaleString("en")} ${count === 1 ? "byte" : "bytes"}`;

function show(response, request, { bytes, fault, whole }, head, end) {
  if (response.redirected) {
    const address = new URL(response.url);
    const note = element("li", `The server redirected the browser, which went on to ${address.pathname}${address.search}: this is the response from there. A script doesn't see the first one.`);
    find(".notes").append(note);
  }
  const status = `${response.status} ${response.statusText}`;
  find(".status-line").textContent = status;
  showFields(response.headers);
  showContent(bytes, response.headers.get("Content-Type"), request.method);
  const amount = whole ? counted(bytes.length) : `the first ${counted(bytes.length)}, where this page stopped reading`;
  find(".time").textContent = `${milliseconds(head)} until the head had arrived, ${milliseconds(end)} until the end of the content: ${amount}.`;
  find(".answer").hidden = false;
  if (fault) {
    say(broken(bytes.length, response.headers.get("Content-Length")), true);
  } else {
    say(`${status}: ${amount} in ${milliseconds(end)}.`);
  }
}

/** Says whether the browser opened a connection for the request. It reports that a moment later. */
async function showConnection(request, mine) {
  for (let tries = 0; tries < ENTRY_TRIES && underWay === mine; tries += 1) {
    const entry = performance.getEntriesByName(request.url, "resource").at(-1);
    if (entry) {
      const isOpen = entry.connectStart === entry.connectEnd;
      const text = isOpen ? "The connection was open already." : "The browser opened a connection for it.";
      find(".time").append(` ${text}`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, ENTRY_DELAY));
  }
}

/** What to say about content that ended early. */
function broken(length, promised) {
  const came = promised === null
    ? `The connection broke after ${counted(length)} of content.`
    : `The content was cut short: Content-Length promised ${counted(Number(promised))}, and ${counted(length)} could be read.`;
  return `${came} What could be read is shown below. Look at the server's terminal, and send it again.`;
}

function showFields(headers) {
  const rows = Array.from(headers, ([name, value]) => {
    const row = document.createElement("tr");
    const title = element("th", name);
    title.scope = "row";
    row.append(title, element("td", value));
    return row;
  });
  find(".fields").replaceChildren(...rows);
}

/** Shows the content according to its type, or else to a guess, as browsers do. */
function showContent(bytes, type, method) {
  const told = type ?? guess(bytes);
  const place = find(".content");
  const reason = type === null ? "The server doesn't say what it is (no Content-Type). This page guesses" : "The server says what it is";
  if (bytes.length === 0) {
    find(".kind").textContent = method === "HEAD" ? "None: a response to HEAD never has content." : "None.";
    place.replaceChildren();
  } else if (told.startsWith("image/")) {
    find(".kind").textContent = `${reason}: ${told}, shown as a picture.`;
    const picture = document.createElement("img");
    picture.alt = "The content of the response";
    picture.src = URL.createObjectURL(new Blob([bytes], { type: told }));
    place.replaceChildren(picture);
  } else {
    const isText = /^text\/|json|javascript|xml/.test(told);
    const limit = isText ? TEXT_LIMIT : HEX_LIMIT;
    const cut = bytes.length > limit ? ` Only the first ${counted(limit)} are shown.` : "";
    find(".kind").textContent = `${reason}: ${told}, shown as ${isText ? "text" : "bytes"}.${cut}`;
    const shown = bytes.subarray(0, limit);
    const block = element("pre", isText ? new TextDecoder().decode(shown) : dump(shown));
    block.tabIndex = 0;
    block.setAttribute("aria-label", "Content of the response");
    place.replaceChildren(block);
  }
}

/** Guesses the type of bytes. An SVG looks like text. */
function guess(bytes) {
  const start = String.fromCharCode(...bytes.subarray(0, 12));
  const pictures = [[/^\xff\xd8\xff/, "image/jpeg"], [/^\x89PNG/, "image/png"], [/^GIF8/, "image/gif"], [/^RIFF....WEBP/s, "image/webp"]];
  const picture = pictures.find(([pattern]) => pattern.test(start));
  if (picture) {
    return picture[1];
  }
  // Text has no control characters except tab, line feed, form feed, carriage return and escape.
  const control = (byte) => byte < 32 && ![9, 10, 12, 13, 27].includes(byte);
  return bytes.subarray(0, TEXT_LIMIT).some(control) ? "application/octet-stream" : "text/plain";
}

/** Bytes in rows of eight: their position, in hexadecimal, and as characters. */
function dump(bytes) {
  const rows = [];
  for (let place = 0; place < bytes.length; place += 8) {
    const row = Array.from(bytes.subarray(place, place + 8));
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const characters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${place.toString(16).padStart(4, "0")}  ${digits.padEnd(23)}  ${characters}`);
  }
  return rows.join("\n");
}

// The page

function showCommand() {
  find(".command").textContent = command(bytesOf(typed.value));
  find(".copied").textContent = "";
}

function fill(pick) {
  pickNote = pick.note ?? "";
  typed.value = written(pick);
  showCommand();
}

for (const pick of PICKS) {
  const button = element("button", pick.name);
  button.type = "button";
  button.className = "quiet";
  button.title = `${pick.method ?? "GET"} ${pick.target}`;
  button.addEventListener("click", () => {
    fill(pick);
    send();
  });
  find(".picks").append(button);
}

typed.addEventListener("input", () => {
  pickNote = "";
  showCommand();
});

typed.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    send();
  }
});

find(".wire").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});

find(".copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(find(".command").textContent);
    find(".copied").textContent = "Copied.";
  } catch {
    // Without permission to copy, select the text: Ctrl+C copies it.
    getSelection().selectAllChildren(find(".command"));
    find(".copied").textContent = "Selected. Press Ctrl+C to copy it.";
  }
});

// A link such as /wire.html#/notes.txt fills in its target.
function fillFromAddress() {
  fill({ target: location.hash.startsWith("#/") ? location.hash.slice(1) : "/notes.txt" });
}

addEventListener("hashchange", fillFromAddress);
fillFromAddress();
