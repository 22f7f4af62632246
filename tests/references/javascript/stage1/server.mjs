// A web server that serves one client at a time.
//
// Its parts are in the order of the Rust stages: the start, accepting connections, one connection, the
// request, the handler, files, the response, and the log.

import { closeSync, openSync, realpathSync, statSync, writeSync } from "node:fs";
import { open, realpath, stat } from "node:fs/promises";
import { createServer, isIP } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";

const NAME = "stage1_javascript";
const VERSION = "1.0";

const HELP = `A web server that serves one client at a time.

  --listen ADDR:PORT  where to listen; port 0 picks a free one [127.0.0.1:7788]
  --root DIR          the folder whose files are served [html]
  --timeout SECONDS   how long to wait for a client [5]
  --verbose           show the head of every request as it came
  --version           show the version
`;

// The start: reads the command line, opens the document root and the listening socket, and announces
// the address.

// Opens everything that a server needs, then serves until the program is stopped.
function main() {
  const options = parseOptions();
  const root = canonicalizeRoot(options.root);
  // Clients wait in the backlog of this socket until they are accepted. A client may stop sending and
  // still receive, so the end of what it sends isn't the end of the connection.
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
  const refuse = (error) =>
    fail(`Cannot listen on ${options.listen}. Choose another address with \`--listen\`: ${error.message}`);
  server.on("error", refuse);
  server.listen({ ...options.address, backlog: 128 }, () => {
    server.off("error", refuse);
    const { address, family, port } = server.address();
    const host = family === "IPv6" ? `[${address}]` : address;
    writeSync(1, `Serving ${options.root} at http://${host}:${port}/\n`);
    serve(server, { ...options, root });
  });
}

// Parses the command line. A usage error exits with 2.
function parseOptions() {
  const text = (value) => ({ type: "string", default: value });
  const flag = { type: "boolean" };
  let values;
  try {
    ({ values } = parseArgs({
      options: {
        listen: text("127.0.0.1:7788"),
        root: text("html"),
        timeout: text("5"),
        verbose: flag,
        version: flag,
        help: { ...flag, short: "h" },
      },
    }));
  } catch (error) {
    refuseUsage(error.message);
  }
  if (values.help || values.version) {
    writeSync(1, values.help ? HELP : `${NAME} ${VERSION}\n`);
    process.exit(0);
  }
  const address = parseAddress(values.listen);
  if (!address) refuseUsage(`invalid value \`${values.listen}\` for --listen`);
  const timeout = /^[0-9]{1,5}$/.test(values.timeout) ? Number(values.timeout) : 0;
  if (timeout < 1 || timeout > 86_400) {
    refuseUsage(`invalid value \`${values.timeout}\` for --timeout`);
  }
  return { ...values, address, timeout: timeout * 1000 };
}

function refuseUsage(message) {
  logLine(`${NAME}: ${message}`);
  process.exit(2);
}

// Parses `127.0.0.1:8080` or `[::1]:8080`.
function parseAddress(text) {
  const parts = /^(?:\[(?<ipv6>.+)\]|(?<ipv4>.+)):(?<port>[0-9]{1,5})$/.exec(text)?.groups;
  const host = parts?.ipv6 ?? parts?.ipv4;
  const port = Number(parts?.port);
  return isIP(host) && port <= 65_535 ? { host, port } : null;
}

// Ends the program, which can't start.
function fail(message) {
  logLine(`${NAME}: ${message}`);
  process.exit(1);
}

// How connections are accepted: one after the other.

// How long to pause when the system has nothing left for us, in milliseconds.
const RETRY_DELAY = 50;

// How often to look whether that is so.
const LOOK_DELAY = 20;

// Accepts and serves clients until the program is stopped.
function serve(server, options) {
  let last = Promise.resolve();
  // Node accepts clients as they come. Each waits for the one before.
  server.on("connection", (client) => {
    client.on("error", () => {});
    last = last.then(() => serveClient(new Connection(client), options));
  });
  server.on("error", (error) => logLine(`cannot accept a client: ${error.message}`));
  pauseWithoutDescriptors();
}

// When descriptors have run out, accept(2) fails, but Node says nothing and tries again at once. So this
// looks for a free one now and then, and pauses the whole program while there is none.
function pauseWithoutDescriptors() {
  try {
    closeSync(openSync("/dev/null"));
    setTimeout(pauseWithoutDescriptors, LOOK_DELAY).unref();
  } catch (error) {
    logLine(`cannot accept a client: ${error.message}`);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_DELAY);
    setImmediate(pauseWithoutDescriptors);
  }
}

// One connection: read the head before its deadline, respond, close gently, log.

// The longest request line, in bytes, without its line ending.
const MAX_LINE = 8_000;

// The longest head, in bytes: request line, header fields and empty line.
const MAX_HEAD = 16 * 1024;

// How much of a file is held in memory at a time, in bytes.
const CHUNK_SIZE = 64 * 1024;

// A request is refused with this status code.
class Refused extends Error {
  constructor(status) {
    super(String(status));
    this.status = status;
  }
}

// The deadline has passed.
class TimedOut extends Error {}

// Serves one client. Whatever goes wrong in here ends only this connection.
async function serveClient(connection, options) {
  const { head, status } = await readHead(connection, Date.now() + options.timeout);
  if (head === null) {
    connection.socket.destroy();
    return;
  }
  let request = null;
  let response;
  try {
    if (status !== null) throw new Refused(status);
    request = parse(head);
    response = await respond(request, options.root);
  } catch (error) {
    response = Response.error(error instanceof Refused ? error.status : 500);
  }
  await send(connection, response, options.timeout, request?.method !== "GET");
  if (options.verbose) logHead(head);
  logRequest(connection.peer, request, response);
}

// Reads up to the empty line that ends a head. Returns it, and the status code if it is refused; the head
// is null if nobody waits for a response.
async function readHead(connection, deadline) {
  let received = "";
  for (;;) {
    // Empty lines before the request line are ignored (RFC 9112, 2.2).
    received = received.replace(/^(\r?\n)+/, "");
    const end = /\n\r?\n/.exec(received);
    const head = end ? received.slice(0, end.index + end[0].length) : received;
    if (trimLineEnding(head.split("\n", 1)[0]).length > MAX_LINE) return { head, status: 414 };
    if (head.length > MAX_HEAD) return { head, status: 431 };
    if (end) return { head, status: null };
    let more;
    try {
      more = await connection.read(deadline);
    } catch (error) {
      const isLate = error instanceof TimedOut && head !== "";
      return isLate ? { head, status: 408 } : { head: null };
    }
    // An incomplete request is ignored (RFC 9112, 8).
    if (more === null) return { head: null };
    // Each character stands for one byte.
    received += more.toString("latin1");
  }
}

// Sends a response and ends the connection.
async function send(connection, response, timeout, bodyMayFollow) {
  try {
    // Each chunk has its own deadline: a client may be slow, but it must not stop.
    while (!response.isComplete) await response.writeChunk(connection, Date.now() + timeout);
    await close(connection, Date.now() + timeout, bodyMayFollow);
  } catch {
    // The client must see that something is missing. An orderly end would hide it.
    connection.socket.resetAndDestroy();
  } finally {
    await response.close();
  }
}

// A client's socket, to be read from and written to until a deadline. With a timeout for each call alone,
// a client could stay forever by sending or taking a byte now and then.
class Connection {
  constructor(socket) {
    this.socket = socket;
    this.peer = `${socket.remoteAddress ?? "-"}:${socket.remotePort ?? "-"}`;
  }

  // The bytes that have arrived; null at the end.
  async read(deadline) {
    const { socket } = this;
    while (!socket.destroyed && !socket.readableEnded) {
      // A client that always sends has a deadline, too.
      if (Date.now() >= deadline) throw new TimedOut();
      const bytes = socket.read();
      if (bytes !== null) return bytes;
      await this.#wait(["readable", "end", "close"], deadline);
    }
    return null;
  }

  // Writes all of these bytes.
  async write(bytes, deadline) {
    const { socket } = this;
    const isTaken = socket.write(bytes);
    while (!isTaken && socket.writableLength > 0 && !socket.destroyed) {
      await this.#wait(["drain", "close"], deadline);
    }
    if (socket.destroyed) throw new Error("the client has left");
  }

  // Stops sending, once everything has been written.
  async endWriting(deadline) {
    const { socket } = this;
    socket.end();
    while (!socket.writableFinished && !socket.destroyed) {
      await this.#wait(["finish", "close"], deadline);
    }
    if (!socket.writableFinished) throw new Error("the client has left");
  }

  // Waits for one of these events.
  #wait(events, deadline) {
    const { socket } = this;
    return new Promise((resolve, reject) => {
      const finish = (settle) => () => {
        clearTimeout(timer);
        for (const event of events) socket.off(event, happened);
        settle();
      };
      const happened = finish(resolve);
      const late = finish(() => reject(new TimedOut()));
      const timer = setTimeout(late, Math.max(deadline - Date.now(), 0));
      for (const event of events) socket.on(event, happened);
    });
  }
}

// Closes the connection after a complete response. If bytes from the client were still unread, this would
// reset the connection, and the response could be lost on its way (RFC 9112, 9.6). So this only stops
// sending, and reads until the client closes.
async function close(connection, deadline, bodyMayFollow) {
  await connection.endWriting(deadline);
  const hasUnreadInput = connection.socket.read() !== null;
  try {
    if (bodyMayFollow || hasUnreadInput) while ((await connection.read(deadline)) !== null);
  } catch {
    // It has taken too long.
  }
  connection.socket.destroy();
}

// The request: from bytes to what the client asks for.

// METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is a token (RFC 9110, 5.6.2). A target
// is `/path?query`, or `http://host/path?query`, which is what proxies get (RFC 9112, 3.2). It has neither
// a bare CR (RFC 9112, 2.2) nor a fragment, which a browser keeps to itself.
const METHOD = "(?<method>[-!#$%&'*+.^_`|~0-9A-Za-z]+)";
const TARGET = "(?<target>(?<host>[Hh][Tt][Tt][Pp]://[^ \\r#/?]+)?(?<path>/[^ \\r#?]*)?(?:\\?[^ \\r#]*)?)";
const REQUEST_LINE = new RegExp(`^${METHOD} ${TARGET} HTTP/(?<major>[0-9])\\.[0-9]$`, "s");

// What a client asks for: the method, the request target as it came, and the path in it, without the
// query.
function parse(head) {
  const parts = REQUEST_LINE.exec(trimLineEnding(head.split("\n", 1)[0]))?.groups;
  if (!parts) throw new Refused(400);
  // Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5).
  if (parts.major !== "1") throw new Refused(505);
  const path = parts.path ?? (parts.host && "/");
  if (!path) throw new Refused(400);
  return { method: parts.method, target: parts.target, path };
}

// A line without its CR. LF alone may end it too, so that a request can be typed by hand.
function trimLineEnding(line) {
  return line.endsWith("\r") ? line.slice(0, -1) : line;
}

// The handler: from a request to its response.

async function respond(request, root) {
  if (request.method === "GET") return Response.ofFile(await openFile(root, request.path));
  // The response to HEAD never has content (RFC 9110, 9.3.2).
  if (request.method === "HEAD") return new Response(501);
  return Response.error(501);
}

// Files: from a request path to an open file below the document root, or the reason why not.

// The document root without symbolic links, so that other paths can be compared with it.
function canonicalizeRoot(root) {
  const shown = `the root \`${root}\`. Choose a folder with \`--root\``;
  let real;
  try {
    real = realpathSync(root);
  } catch (error) {
    fail(`Cannot open ${shown}: ${error.message}`);
  }
  if (!statSync(real).isDirectory()) fail(`Cannot serve ${shown}: It is not a folder`);
  return real;
}

// Opens the file that a request path names.
async function openFile(root, path) {
  const place = await resolve(root, path);
  if (place === null) throw new Refused(404);
  try {
    return await open(place);
  } catch (error) {
    // Whatever else is wrong is our fault: we may be out of descriptors.
    throw new Refused(["ENOENT", "EACCES"].includes(error.code) ? 404 : 500);
  }
}

// Where a request path really leads, with links followed; null if there is no file for the public. Only
// regular files are opened: opening a FIFO would wait for its writer.
async function resolve(root, path) {
  const segments = path.split("/");
  if (segments.includes("..") || path.includes("\0")) return null;
  // Each character stands for one byte of a name in UTF-8.
  const name = Buffer.from(path, "latin1").toString();
  try {
    const real = await realpath(join(root, name, path.endsWith("/") ? "index.html" : ""));
    const isBelow = real.startsWith(root === "/" ? root : `${root}/`);
    return isBelow && (await stat(real)).isFile() ? real : null;
  } catch {
    return null;
  }
}

// The response: a status line, header fields, an empty line, and the content as bytes.

// The reason phrases (RFC 9110, 15; RFC 6585 for 431).
const PHRASES = {
  200: "OK",
  400: "Bad Request",
  404: "Not Found",
  408: "Request Timeout",
  414: "URI Too Long",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  505: "HTTP Version Not Supported",
};

// What a client gets.
class Response {
  constructor(status, content = "", file = null) {
    const head = `HTTP/1.1 ${status} ${PHRASES[status]}\r\nServer: ${NAME}\r\nConnection: close\r\n\r\n`;
    this.status = status;
    // How many bytes have been written, head and content.
    this.sent = 0;
    // Whether everything has been written.
    this.isComplete = false;
    // What is written next: at first the head, with the beginning of the content.
    this.chunk = Buffer.concat([Buffer.from(head), Buffer.from(content)]);
    // Where the rest of the content comes from.
    this.file = file;
  }

  // A response with the content of a file. Some files can be opened but not read, so the first chunk is
  // read now, before anything has been sent.
  static async ofFile(file) {
    try {
      return new Response(200, await readChunk(file), file);
    } catch {
      await file.close();
      throw new Refused(500);
    }
  }

  // A response with a line of text that names the status.
  static error(status) {
    return new Response(status, `${status} ${PHRASES[status]}\n`);
  }

  // Writes the next chunk.
  async writeChunk(connection, deadline) {
    await connection.write(this.chunk, deadline);
    this.sent += this.chunk.length;
    this.chunk = this.file ? await readChunk(this.file) : "";
    this.isComplete = this.chunk.length === 0;
  }

  // Closes the file.
  async close() {
    await this.file?.close();
  }
}

// Reads the next chunk of a file. It is empty at the end of the file.
async function readChunk(file) {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(CHUNK_SIZE));
  return buffer.subarray(0, bytesRead);
}

// The log on standard error: a line for each request.

// Writes a line in one piece, so that the lines of several clients don't mix. If that fails, there is
// nobody to report it to.
function logLine(text) {
  try {
    writeSync(2, `${text}\n`);
  } catch {}
}

// Logs the client's address, the method and target of its request if it was understood, the status code,
// the bytes sent, and whether the response was cut.
function logRequest(peer, request, response) {
  const { method, target } = request ?? { method: "-", target: "-" };
  const end = response.isComplete ? "" : " cut";
  logLine(`${peer} ${method} ${escape(target)} ${response.status} ${response.sent}${end}`);
}

// Logs a head line by line.
function logHead(head) {
  for (const line of head.split(/(?<=\n)/)) logLine(`> ${escape(line)}`);
}

// Bytes as text, so that no control byte reaches the terminal.
function escape(text) {
  const code = (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return text.replace(/[^\x20-\x7E]|\\/g, code);
}

main();
