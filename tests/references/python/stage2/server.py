"""A web server with a process for each connection.

Its parts are in the order of the Rust stages: the start, accepting connections, one connection, the
request, the handler, files, the response, and the log.
"""

import argparse
import ipaddress
import os
import re
import signal
import socket
import struct
import sys
import time
import traceback

NAME = "stage2_python"
VERSION = "1.0"


# The start: reads the command line, opens the document root and the listening socket, and announces
# the address.


def main():
    """Opens everything that a server needs, then serves until the program is stopped."""
    # Without these, Ctrl-C would show a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    options = parse_options()
    shown_root = options.root
    options.root = canonicalize_root(options.root)
    listener = listen(options.listen)
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    print(f"Serving {shown_root} at http://{host}:{port}/", flush=True)
    serve(listener, options)


def parse_options():
    """Parses the command line. A usage error exits with 2."""
    parser = argparse.ArgumentParser(
        description="A web server with a process for each connection.", allow_abbrev=False
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR:PORT",
        type=address,
        default="127.0.0.1:8888",
        help="where to listen; port 0 picks a free one [default: %(default)s]",
    )
    parser.add_argument(
        "--root",
        metavar="DIR",
        default="html",
        help="the folder whose files are served [default: %(default)s]",
    )
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=5,
        help="how long to wait for a client [default: %(default)s]",
    )
    parser.add_argument(
        "--verbose", action="store_true", help="show the head of every request as it came"
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {VERSION}")
    return parser.parse_args()


def address(text):
    """Parses `127.0.0.1:8080` or `[::1]:8080`."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        raise ValueError
    return ipaddress.ip_address(host.strip("[]")), int(port)


def seconds(text):
    """Parses a timeout."""
    if int(text) not in range(1, 86_401):
        raise ValueError
    return int(text)


def listen(wanted):
    """Opens the listening socket. Clients wait in its backlog until they are accepted."""
    host, port = wanted
    family = socket.AF_INET if host.version == 4 else socket.AF_INET6
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(host), port))
    except OSError as error:
        fail(
            f"Cannot listen on {host}:{port}. Choose another address with `--listen`: "
            f"{error.strerror}"
        )
    listener.listen(128)
    return listener


def fail(message):
    """Ends the program, which can't start."""
    log_line(f"{NAME}: {message}")
    sys.exit(1)


# How connections are accepted: with a process for each.

# How long to pause when the system has nothing left for us, so that the loop doesn't spin.
RETRY_DELAY = 0.05

# How many clients are served at once. Further ones wait in the backlog.
MAX_CLIENTS = 256


def serve(listener, options):
    """Accepts and serves clients until the program is stopped."""
    children = set()
    # While it waits, it looks for children that have exited.
    listener.settimeout(RETRY_DELAY)
    while True:
        children -= reap()
        if len(children) >= MAX_CLIENTS:
            time.sleep(RETRY_DELAY)
            continue
        try:
            client, peer = listener.accept()
        except socket.timeout:
            continue
        except OSError as error:
            log_line(f"cannot accept a client: {error.strerror}")
            time.sleep(RETRY_DELAY)
            continue
        try:
            children.add(start_child(listener, client, peer, options))
            client.close()
        except OSError as error:
            log_line(f"cannot serve a client: {error.strerror}")
            turn_away(client)


def reap():
    """The children that have exited. One remains as a zombie until its parent asks for its status."""
    exited = set()
    try:
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) > 0:
            exited.add(pid)
    except ChildProcessError:
        # None is left.
        pass
    return exited


def start_child(listener, client, peer, options):
    """Starts a child that serves the client. Only the parent returns from this."""
    pid = os.fork()
    if pid > 0:
        return pid
    try:
        # A child that held the listener would keep the port in use after its parent has exited.
        listener.close()
        serve_client(client, peer, options)
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(0)


def turn_away(client):
    """Tells a client that it can't be served. Nobody may wait for it."""
    with client:
        client.setblocking(False)
        try:
            client.send(Response.error(503).chunk)
            client.shutdown(socket.SHUT_WR)
            client.recv(CHUNK_SIZE)
        except OSError:
            # It has left, or would have to be waited for.
            pass


# One connection: read the head before its deadline, respond, close gently, log.

# The longest request line, in bytes, without its line ending.
MAX_LINE = 8_000

# The longest head, in bytes: request line, header fields and empty line.
MAX_HEAD = 16 * 1024

# How much is read or sent at a time, in bytes.
CHUNK_SIZE = 64 * 1024


class Refused(Exception):
    """A request is refused with this status code."""

    def __init__(self, status):
        super().__init__(status)
        self.status = status


def serve_client(client, peer, options):
    """Serves one client. Whatever goes wrong in here ends only this connection."""
    request = None
    with client:
        head, status = read_head(Deadline(client, options.timeout))
        if head is None:
            return
        try:
            if status is not None:
                raise Refused(status)
            request = parse(head)
            response = respond(request, options.root)
        except Refused as refused:
            response = Response.error(refused.status)
        body_may_follow = request is None or request.method != "GET"
        send(client, response, options.timeout, body_may_follow)
    # Writing to the log may block: the client has its response by then.
    if options.verbose:
        log_head(head)
    log_request(peer, request, response)


def read_head(deadline):
    """Reads up to the empty line that ends a head.

    Returns it, and the status code if it is refused; or None twice if nobody waits for a response.
    """
    received = b""
    while True:
        # Empty lines before the request line are ignored (RFC 9112, 2.2).
        received = re.sub(rb"\A(\r?\n)+", b"", received)
        end = re.search(rb"\n\r?\n", received)
        head = received[: end.end()] if end else received
        line = trim_line_ending(head.split(b"\n", 1)[0])
        if len(line) > MAX_LINE:
            return head, 414
        if len(head) > MAX_HEAD:
            return head, 431
        if end:
            return head, None
        try:
            more = deadline.recv(CHUNK_SIZE)
        except socket.timeout:
            return (head, 408) if head else (None, None)
        except OSError:
            more = b""
        # An incomplete request is ignored (RFC 9112, 8).
        if not more:
            return None, None
        received += more


def send(client, response, timeout, body_may_follow):
    """Sends a response and ends the connection."""
    try:
        # Each chunk has its own deadline: a client may be slow, but it must not stop.
        while not response.is_complete:
            response.write_chunk(Deadline(client, timeout))
    except OSError:
        # The client must see that something is missing. An orderly end would hide it, so close(2)
        # must reset the connection.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        close(client, timeout, body_may_follow)
    finally:
        response.close()


class Deadline:
    """A client's socket, to be read from and written to until a deadline.

    With a timeout for each call alone, a client could stay forever by sending or taking a byte now
    and then.
    """

    def __init__(self, client, timeout):
        self.client = client
        self.time = time.monotonic() + timeout

    def time_left(self):
        left = self.time - time.monotonic()
        if left <= 0:
            raise socket.timeout
        return left

    def recv(self, size):
        self.client.settimeout(self.time_left())
        return self.client.recv(size)

    def send_all(self, data):
        data = memoryview(data)
        while data:
            self.client.settimeout(self.time_left())
            data = data[self.client.send(data) :]


def close(client, timeout, body_may_follow):
    """Closes the connection after a complete response.

    If bytes from the client were still unread, close(2) would reset the connection, and the response
    could be lost on its way (RFC 9112, 9.6). So this only stops sending, and reads until the client
    closes.
    """
    try:
        client.shutdown(socket.SHUT_WR)
        deadline = Deadline(client, timeout)
        if body_may_follow or has_unread_input(client):
            while deadline.recv(CHUNK_SIZE):
                pass
    except OSError:
        # Whatever has happened, the connection ends now.
        pass


def has_unread_input(client):
    """Whether the client has sent more than was read. Doesn't wait."""
    try:
        return len(client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)) > 0
    except OSError:
        return False


# The request: from bytes to what the client asks for.

# METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is a token (RFC 9110, 5.6.2). A
# target is `/path?query`, or `http://host/path?query`, which is what proxies get (RFC 9112, 3.2). It
# has neither a bare CR (RFC 9112, 2.2) nor a fragment, which a browser keeps to itself.
REQUEST_LINE = re.compile(
    rb"""
    (?P<method> [-!\#$%&'*+.^_`|~0-9A-Za-z]+ )
    \x20 (?P<target> (?P<host> (?i:http):// [^\x20\r\#/?]+ )? (?P<path> / [^\x20\r\#?]* )?
        ( \? [^\x20\r\#]* )? )
    \x20 HTTP/ (?P<major> [0-9] ) \. [0-9]
    """,
    re.VERBOSE,
)


class Request:
    """What a client asks for."""

    def __init__(self, method, target, path):
        self.method = method
        # The request target as it came.
        self.target = target
        # The path in the target, without the query.
        self.path = path


def parse(head):
    """Parses a head."""
    line = trim_line_ending(head.split(b"\n", 1)[0])
    parts = REQUEST_LINE.fullmatch(line)
    if not parts:
        raise Refused(400)
    # Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5).
    if parts["major"] != b"1":
        raise Refused(505)
    path = parts["path"] or (parts["host"] and b"/")
    if not path:
        raise Refused(400)
    return Request(parts["method"].decode(), parts["target"], path)


def trim_line_ending(line):
    """A line without its CR. LF alone may end it too, so that a request can be typed by hand."""
    return line[:-1] if line.endswith(b"\r") else line


# The handler: from a request to its response.


def respond(request, root):
    """The response to a request."""
    if request.method == "GET":
        return Response.of_file(open_file(root, request.path))
    if request.method == "HEAD":
        # The response to HEAD never has content (RFC 9110, 9.3.2).
        return Response(501)
    return Response.error(501)


# Files: from a request path to an open file below the document root, or the reason why not.


def canonicalize_root(root):
    """The document root without symbolic links, so that other paths can be compared with it."""
    shown = f"the root `{root}`. Choose a folder with `--root`"
    try:
        os.stat(root)
    except OSError as error:
        fail(f"Cannot open {shown}: {error.strerror}")
    if not os.path.isdir(root):
        fail(f"Cannot serve {shown}: It is not a folder")
    return os.fsencode(os.path.realpath(root))


def open_file(root, path):
    """Opens the file that a request path names."""
    place = resolve(root, path)
    if place is None:
        raise Refused(404)
    try:
        return open(place, "rb")
    except (FileNotFoundError, PermissionError):
        raise Refused(404) from None
    except OSError:
        # The fault is ours: we may be out of descriptors.
        raise Refused(500) from None


def resolve(root, path):
    """Where a request path really leads, with links followed; None if there is no file for the public.

    Only regular files are opened: opening a FIFO would wait for its writer.
    """
    segments = path.split(b"/")
    if b".." in segments or b"\0" in path:
        return None
    if path.endswith(b"/"):
        segments.append(b"index.html")
    real = os.path.realpath(os.path.join(root, *filter(None, segments)))
    is_below = os.path.commonpath([root, real]) == root
    return real if is_below and os.path.isfile(real) else None


# The response: a status line, header fields, an empty line, and the content as bytes.

# The reason phrases (RFC 9110, 15; RFC 6585 for 431).
PHRASES = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    408: "Request Timeout",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}


class Response:
    """What a client gets."""

    def __init__(self, status, content=b"", file=None):
        head = f"HTTP/1.1 {status} {PHRASES[status]}\r\nServer: {NAME}\r\nConnection: close\r\n\r\n"
        self.status = status
        # How many bytes have been written, head and content.
        self.sent = 0
        # Whether everything has been written.
        self.is_complete = False
        # What is written next: at first the head, with the beginning of the content.
        self.chunk = head.encode() + content
        # Where the rest of the content comes from.
        self.file = file

    @classmethod
    def of_file(cls, file):
        """A response with the content of a file.

        Some files can be opened but not read, so the first chunk is read now, before anything has
        been sent.
        """
        try:
            return cls(200, file.read(CHUNK_SIZE), file)
        except OSError:
            raise Refused(500) from None

    @classmethod
    def error(cls, status):
        """A response with a line of text that names the status."""
        return cls(status, f"{status} {PHRASES[status]}\n".encode())

    def write_chunk(self, writer):
        """Writes the next chunk."""
        writer.send_all(self.chunk)
        self.sent += len(self.chunk)
        self.chunk = self.file.read(CHUNK_SIZE) if self.file else b""
        self.is_complete = not self.chunk

    def close(self):
        """Closes the file."""
        if self.file:
            self.file.close()


# The log on standard error: a line for each request.


def log_line(text):
    """Writes a line in one piece, so that the lines of several clients don't mix.

    If that fails, there is nobody to report it to.
    """
    try:
        os.write(2, os.fsencode(text + "\n"))
    except OSError:
        pass


def log_request(peer, request, response):
    """Logs the client's address, the method and target of its request if it was understood, the
    status code, the bytes sent, and whether the response was cut."""
    host, port = peer[:2]
    method, target = (request.method, escape(request.target)) if request else ("-", "-")
    end = "" if response.is_complete else " cut"
    log_line(f"{host}:{port} {method} {target} {response.status} {response.sent}{end}")


def log_head(head):
    """Logs a head line by line."""
    for line in head.splitlines(keepends=True):
        log_line(f"> {escape(line)}")


def escape(data):
    """Bytes as text, so that no control byte reaches the terminal."""
    return repr(data)[2:-1]


if __name__ == "__main__":
    main()
