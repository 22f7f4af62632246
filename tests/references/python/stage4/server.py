"""A web server with a ResponseBuilder, media types and permission checks.

Its parts are in the order of the Rust stages: the start, accepting connections, one connection, the
request, the handler, files, the response, and the log.
"""

import argparse
import errno
import html
import ipaddress
import os
import re
import signal
import socket
import stat
import struct
import sys
import threading
import time
from email.utils import formatdate
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from media_types import content_type

NAME = "stage4_python"
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
    options.root = Root(options.root)
    listener = listen(options.listen)
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    print(f"Serving {shown_root} at http://{host}:{port}/", flush=True)
    serve(listener, options)


def parse_options():
    """Parses the command line. A usage error exits with 2."""
    parser = argparse.ArgumentParser(
        description="A web server with a ResponseBuilder, media types and permission checks.", allow_abbrev=False
    )
    parser.add_argument(
        "--listen",
        metavar="ADDR:PORT",
        type=address,
        default="127.0.0.1:9001",
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


# How connections are accepted: with a thread for each.

# How long to pause when the system has nothing left for us, so that the loop doesn't spin.
RETRY_DELAY = 0.05

# How many clients are served at once. Further ones wait in the backlog.
MAX_CLIENTS = 256

# The stack of a thread, in bytes. The usual 8 MiB are more than it needs.
STACK_SIZE = 256 * 1024


def serve(listener, options):
    """Accepts and serves clients until the program is stopped."""
    threading.stack_size(STACK_SIZE)
    # Each thread holds a slot while it runs.
    slots = threading.Semaphore(MAX_CLIENTS)
    while True:
        slots.acquire()
        try:
            client, peer = listener.accept()
        except OSError as error:
            slots.release()
            log_line(f"cannot accept a client: {error.strerror}")
            time.sleep(RETRY_DELAY)
            continue
        try:
            start_thread(slots, client, peer, options)
        except RuntimeError as error:
            slots.release()
            log_line(f"cannot serve a client: {error}")
            turn_away(client)


def start_thread(slots, client, peer, options):
    """Starts a thread that serves the client."""

    def run():
        try:
            serve_client(client, peer, options)
        finally:
            slots.release()

    threading.Thread(target=run, daemon=True).start()


def turn_away(client):
    """Tells a client that it can't be served. Nobody may wait for it."""
    with client:
        client.setblocking(False)
        try:
            client.send(page(503).build().chunk)
            client.shutdown(socket.SHUT_WR)
            client.recv(CHUNK_SIZE)
        except OSError:
            # It has left, or would have to be waited for.
            pass


# One connection: read the head before its deadline, respond, close gently, log. The content of a form
# has a deadline and a limit, too.

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
        head, rest, status = read_head(Deadline(client, options.timeout))
        if head is None:
            return
        try:
            if status is not None:
                raise Refused(status)
            request = parse(head)
            read_content(request, rest, client, options)
            response = respond(request, options.root)
        except Refused as refused:
            response = error(refused.status, options.root)
        # The response to HEAD never has content, even if it refuses the request (RFC 9110, 9.3.2).
        if head.startswith(b"HEAD "):
            response.remove_content()
        body_may_follow = request is None or not request.is_complete()
        send(client, response, options.timeout, body_may_follow)
    # Writing to the log may block: the client has its response by then.
    if options.verbose:
        log_head(head)
    log_request(peer, request, response)


def read_head(deadline):
    """Reads up to the empty line that ends a head.

    Returns it, what follows it, and the status code if it is refused; or None if nobody waits for a
    response.
    """
    received = b""
    while True:
        # Empty lines before the request line are ignored (RFC 9112, 2.2).
        received = re.sub(rb"\A(\r?\n)+", b"", received)
        end = re.search(rb"\n\r?\n", received)
        head, rest = (received[: end.end()], received[end.end() :]) if end else (received, b"")
        line = trim_line_ending(head.split(b"\n", 1)[0])
        if len(line) > MAX_LINE:
            return head, rest, 414
        if len(head) > MAX_HEAD:
            return head, rest, 431
        if end:
            return head, rest, None
        try:
            more = deadline.recv(CHUNK_SIZE)
        except socket.timeout:
            return (head, rest, 408) if head else (None, None, None)
        except OSError:
            more = b""
        # An incomplete request is ignored (RFC 9112, 8).
        if not more:
            return None, None, None
        received += more


def read_content(request, received, client, options):
    """Reads the content that the handler needs, of which some may have been received."""
    length = content_needed(request, options.root)
    deadline = Deadline(client, options.timeout)
    content = received[:length]
    try:
        # Before some clients send much, they ask whether they may (RFC 9110, 10.1.1).
        if length > 0 and request.expects_continue:
            deadline.send_all(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(content) < length:
            more = deadline.recv(length - len(content))
            # The client left before the end of its content (RFC 9112, 8).
            if not more:
                raise Refused(400)
            content += more
    except socket.timeout:
        raise Refused(408) from None
    except OSError:
        raise Refused(400) from None
    request.content = content


def send(client, response, timeout, body_may_follow):
    """Sends a response and ends the connection."""
    try:
        # Each chunk has its own deadline: a client may be slow, but it must not stop.
        while not response.is_complete:
            response.write_chunk(Deadline(client, timeout))
    except OSError:
        # The client must see that something is missing. Where no length is promised, an orderly end
        # would hide it, so close(2) must reset the connection.
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


# The request: from bytes to what the client asks for. Whatever doesn't match is refused, and nothing is
# guessed, since another program might guess differently.

# METHOD SP request-target SP HTTP-version (RFC 9112, 3). A method is a token (RFC 9110, 5.6.2). A
# target is `/path?query`, or `http://host/path?query`, which is what proxies get (RFC 9112, 3.2), or
# `*`. It has neither a control character nor a fragment, which a browser keeps to itself.
REQUEST_LINE = re.compile(
    rb"""
    (?P<method> [-!\#$%&'*+.^_`|~0-9A-Za-z]+ )
    \x20 (?P<target> \* | ( (?i:http):// (?P<host> [^\x00-\x20\x7F\#/?]+ ) )?
        (?P<path> / [^\x00-\x20\x7F\#?]* )? (?P<query> \? [^\x00-\x20\x7F\#]* )? )
    \x20 HTTP/ (?P<major> [0-9] ) \. (?P<minor> [0-9] )
    """,
    re.VERBOSE,
)

# A name or an IP address, and perhaps a port (RFC 3986, 3.2.2 and 3.2.3).
HOST = re.compile(
    rb"""
    ( \[ (?P<ipv6> [0-9A-Fa-f:.]+ ) \]
        | ( [0-9A-Za-z._~!$&'()*+,;=-] | % [0-9A-Fa-f]{2} )* )
    ( : [0-9]* )?
    """,
    re.VERBOSE,
)

# A field line: NAME ":" VALUE (RFC 9112, 5). A line that begins with a space, once a way to continue the
# line before, has no valid name.
FIELD = re.compile(rb"(?P<name>[-!#$%&'*+.^_`|~0-9A-Za-z]+):(?P<value>[^\x00-\x08\x0A-\x1F\x7F]*)")


class Request:
    """What a client asks for."""

    def __init__(self, method, target, path, query):
        self.method = method
        # The request target as it came.
        self.target = target
        # The path in the target, percent-decoded, without the query; `*` for the whole server.
        self.path = path
        # The query with its question mark, as it came.
        self.query = query
        # How many bytes of content follow the head; None if the client didn't say.
        self.content_length = None
        # The content, if it has been read.
        self.content = b""
        # Whether the client waits for `100 Continue` before it sends content.
        self.expects_continue = False
        # What the content is, in lower case and without parameters; empty if the client didn't say.
        self.media_type = ""

    def is_complete(self):
        """Whether all of the content has been read."""
        if self.content_length is None:
            # Other methods may have content whose length the client didn't say.
            return self.method in ("GET", "HEAD", "OPTIONS")
        return self.content_length == len(self.content)


def parse(head):
    """Parses a head."""
    lines = [trim_line_ending(line) for line in head.split(b"\n")]
    parts = REQUEST_LINE.fullmatch(lines[0])
    if not parts:
        raise Refused(400)
    # Every HTTP/1 client understands HTTP/1.1, whatever its minor version (RFC 9110, 2.5).
    if parts["major"] != b"1":
        raise Refused(505)
    method, target = parts["method"].decode(), parts["target"]
    request = Request(method, target, find_path(parts, method), parts["query"] or b"")
    # The last two are what follows the empty line, and the line itself.
    fields = [parse_field(line) for line in lines[1:-2]]
    is_1_0 = parts["minor"] == b"0"
    check_host(fields, is_1_0)
    request.content_length = content_length(fields)
    request.expects_continue = expects_continue(fields, is_1_0)
    request.media_type = media_type(fields)
    return request


def find_path(parts, method):
    """The decoded path in the parts of a request line."""
    host, path = parts["host"], parts["path"]
    if parts["target"] == b"*":
        # Only OPTIONS may ask for the whole server (RFC 9112, 3.2.4).
        path = b"*" if method == "OPTIONS" else None
    elif host is not None:
        path = path or b"/"
        if not is_host(host) or host.startswith(b":"):
            path = None
    if not path:
        raise Refused(400)
    return decode(path)


def decode(path):
    """Undoes percent-encoding (RFC 3986, 2.1), once."""
    if re.search(rb"%(?![0-9A-Fa-f]{2})", path):
        raise Refused(400)
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        raise Refused(400) from None
    if "\0" in decoded:
        raise Refused(400)
    return decoded


def parse_field(line):
    """Parses a field line: its name in lower case, since case doesn't count there, and its value."""
    parts = FIELD.fullmatch(line)
    if not parts:
        raise Refused(400)
    return parts["name"].lower(), parts["value"].strip(b" \t")


def values(fields, name):
    """The values of all fields with that name."""
    return [value for known, value in fields if known == name]


def is_host(text):
    """Whether this is a host, perhaps an empty one, and perhaps with a port."""
    parts = HOST.fullmatch(text)
    if not parts:
        return False
    try:
        return parts["ipv6"] is None or bool(ipaddress.IPv6Address(parts["ipv6"].decode()))
    except ValueError:
        return False


def check_host(fields, is_1_0):
    """HTTP/1.1 demands exactly one valid Host. HTTP/1.0 may leave it out (RFC 9112, 3.2)."""
    hosts = values(fields, b"host")
    if not hosts and is_1_0:
        return
    if len(hosts) != 1 or not is_host(hosts[0]):
        raise Refused(400)


def content_length(fields):
    """The length of the content (RFC 9112, 6.3).

    If two programs could disagree on it, a request could be smuggled past one of them, so whatever is
    ambiguous is refused.
    """
    lengths = values(fields, b"content-length")
    if values(fields, b"transfer-encoding"):
        raise Refused(400 if lengths else 501)
    if not lengths:
        return None
    if len(lengths) > 1 or not re.fullmatch(rb"[0-9]+", lengths[0]):
        raise Refused(400)
    # Python's numbers have no limit, but no content is that long.
    if len(lengths[0]) > 19:
        raise Refused(413)
    return int(lengths[0])


def expects_continue(fields, is_1_0):
    """Whether to send `100 Continue`, which HTTP/1.0 doesn't know (RFC 9110, 10.1.1)."""
    expectations = values(fields, b"expect")
    if any(value.lower() != b"100-continue" for value in expectations):
        raise Refused(417)
    return not is_1_0 and len(expectations) > 0


def media_type(fields):
    """The value of Content-Type up to its first semicolon (RFC 9110, 8.3)."""
    value = (values(fields, b"content-type") or [b""])[0]
    return value.decode("latin-1").lower().split(";")[0].strip()


def trim_line_ending(line):
    """A line without its CR. LF alone may end it too, so that a request can be typed by hand."""
    return line[:-1] if line.endswith(b"\r") else line


# The handler: from a request to its response.

# The longest content of a form, in bytes.
MAX_CONTENT = 64 * 1024


def content_needed(request, root):
    """How many bytes of a request's content are needed for its response."""
    if request.method != "POST" or request.path != FORM_PAGE:
        return 0
    file = open_file(root, FORM_PAGE)
    if file is not None:
        file.close()
    if request.content_length is None:
        raise Refused(411)
    if request.content_length > MAX_CONTENT:
        raise Refused(413)
    if request.media_type != FORM_TYPE:
        raise Refused(415)
    return request.content_length


def respond(request, root):
    """The response to a request."""
    has_form = request.path in (FORM_PAGE, "*")
    allowed = "GET, HEAD, OPTIONS, POST" if has_form else "GET, HEAD, OPTIONS"
    if request.method in ("GET", "HEAD"):
        return get(request, root)
    if request.method == "POST" and request.path == FORM_PAGE:
        return ResponseBuilder(200).html(echo(request.content)).build()
    if request.method == "OPTIONS":
        return ResponseBuilder(204).field("Allow", allowed).build()
    if request.method in ("POST", "PUT", "DELETE", "CONNECT", "TRACE", "PATCH"):
        return page(405).field("Allow", allowed).build()
    raise Refused(501)


def get(request, root):
    """The response to GET: a file, or a redirect to a folder."""
    file = open_file(root, request.path)
    if file is None:
        location = folder_location(request.path, request.query)
        return page(301).field("Location", location).build()
    return ResponseBuilder(200).file(file).build()


def folder_location(path, query):
    """The address of a folder, with its slash. Two slashes at the beginning would name another host."""
    query = "".join(chr(byte) if byte < 0x7F else f"%{byte:02X}" for byte in query)
    return f"/{quote(path.strip('/'))}/{query}"


def error(status, root):
    """The response for an error: a page of the site, if it has one."""
    if status in (403, 404):
        try:
            file = open_file(root, f"/{status}.html")
            if file is not None:
                return ResponseBuilder(status).file(file).build()
        except Refused:
            # The site has no such page.
            pass
    return page(status).build()


# Forms: the fields that a person has filled in, and the page that shows them again. What comes from a
# form is a stranger's text, so it is escaped on its way into the page.

# The page that can be posted to.
FORM_PAGE = "/MyForm.html"

# How a browser writes the fields of a form into the content.
FORM_TYPE = "application/x-www-form-urlencoded"


def echo(content):
    """A page that shows every field of a form, in the order in which they came."""
    fields = parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True)
    rows = [
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>\n'
        for name, value in fields
    ]
    return f"""<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>What the server received</title>
<link rel="stylesheet" href="/style.css">
<h1>What the server received</h1>
<table>
{"".join(rows) or "<tr><td>The form was empty.</td></tr>"}
</table>
<p><a href="{FORM_PAGE}">Back to the form</a></p>
</html>
"""


# Files: from a request path to an open file below the document root, or the reason why not. Each name is
# opened in the open folder before it, since a link may appear after a check.

# How a file is opened. Opening a FIFO would wait for its writer, so this doesn't block.
FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW

# How a folder is opened: on Linux only to find names in it, which needs no permission to list them.
FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | getattr(os, "O_PATH", os.O_RDONLY)


class Root:
    """The document root.

    Its path has no symbolic links, so that other paths can be compared with it, and its descriptor leads
    to the same folder even after somebody renames that.
    """

    def __init__(self, root):
        shown = f"the root `{root}`. Choose a folder with `--root`"
        try:
            os.stat(root)
            if not os.path.isdir(root):
                fail(f"Cannot serve {shown}: It is not a folder")
            self.path = os.path.realpath(root)
            self.folder = os.open(self.path, FOLDER)
        except OSError as error:
            fail(f"Cannot open {shown}: {error.strerror}")


class OpenFile:
    """An open file, and the name by which it was asked for.

    Some files can be opened but not read, so its first chunk has been read already.
    """

    def __init__(self, descriptor, size, name):
        self.rest = open(descriptor, "rb")
        self.name = name
        try:
            self.first_chunk = self.rest.read(CHUNK_SIZE)
        except OSError:
            self.close()
            raise Refused(500) from None
        # Its length in bytes, with the first chunk; None if that is unknown.
        self.length = None
        if len(self.first_chunk) < CHUNK_SIZE:
            self.length = len(self.first_chunk)
        elif len(self.first_chunk) <= size:
            self.length = size

    def close(self):
        self.rest.close()


def open_file(root, path):
    """Opens the file that a request path names. Returns None for a folder whose slash is missing."""
    names = resolve(path)
    try:
        try:
            descriptor = walk(root, names)
        except OSError as error:
            # There may be a link on the way.
            if error.errno not in (errno.ELOOP, errno.ENOTDIR):
                raise
            descriptor = walk(root, follow(root, names))
    except OSError as error:
        raise Refused(status_for(error)) from None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and others_may_read(status):
        return OpenFile(descriptor, status.st_size, names[-1])
    os.close(descriptor)
    if stat.S_ISDIR(status.st_mode) and not path.endswith("/"):
        return None
    raise Refused(403 if stat.S_ISREG(status.st_mode) else 404)


def resolve(path):
    """The names in a path, with links not yet followed."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    if ".." in names:
        raise Refused(404)
    if path.endswith("/"):
        names.append("index.html")
    return names


def walk(root, names):
    """Opens a place below the root, unless there is a link on the way."""
    folder = os.dup(root.folder)
    try:
        for name in names[:-1]:
            next_folder = open_at(folder, name, FOLDER)
            os.close(folder)
            folder = next_folder
        return open_at(folder, names[-1] if names else ".", FILE)
    finally:
        os.close(folder)


def open_at(folder, name, flags):
    """Opens a name in a folder, unless it is a link.

    In a folder that others may not pass, they must not learn which names exist.
    """
    if not others_may_pass(os.fstat(folder)):
        raise PermissionError(errno.EACCES, "others may not pass")
    return os.open(name, flags, dir_fd=folder)


def follow(root, names):
    """The names of the same place without links, as far as it exists."""
    real = os.path.realpath(os.path.join(root.path, *names))
    if os.path.commonpath([root.path, real]) != root.path:
        raise Refused(404)
    return [name for name in os.path.relpath(real, root.path).split("/") if name != "."]


def status_for(error):
    """The status code for a file that can't be opened."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return 403
    # The fault is ours: we may be out of descriptors.
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO):
        return 500
    # It is missing, or something else, such as a socket.
    return 404


# Permissions: may everybody read this file? The server may read more than its clients should see.


def others_may_pass(folder):
    """Whether others may pass the folder to what is in it: `o+x` in its mode (chmod(1))."""
    return bool(folder.st_mode & stat.S_IXOTH)


def others_may_read(file):
    """Whether others may read the file: `o+r`."""
    return bool(file.st_mode & stat.S_IROTH)


# The response: a status line, header fields, an empty line, and the content as bytes.

# The reason phrases (RFC 9110, 15; RFC 6585 for 431), and what to do, in a sentence for a person.
STATUSES = {
    200: ("OK", ""),
    204: ("No Content", ""),
    301: ("Moved Permanently", "This folder has moved to the same address with a slash at the end."),
    400: ("Bad Request", "The server could not understand this request. Check its syntax."),
    403: ("Forbidden", "This file is not public. Its owner has to allow others to read it."),
    404: ("Not Found", "There is nothing at this address. Check its spelling."),
    405: ("Method Not Allowed", "This page does not support that method. Allow lists those it does."),
    408: ("Request Timeout", "The request took too long to arrive. Send it again, faster."),
    411: ("Length Required", "A form must say how long it is. Send the field Content-Length."),
    413: ("Content Too Large", "This is more than the server accepts. Send less."),
    414: ("URI Too Long", "The address is too long. Send a shorter one."),
    415: ("Unsupported Media Type", f"The server reads only forms. Send {FORM_TYPE}."),
    417: ("Expectation Failed", "The server cannot do that. Send the request without Expect."),
    431: ("Request Header Fields Too Large", "Send fewer or shorter header fields."),
    500: ("Internal Server Error", "This is the server's fault. Try again later."),
    501: ("Not Implemented", "The server does not support this method or transfer coding."),
    503: ("Service Unavailable", "The server has too many clients at the moment. Try again later."),
    505: ("HTTP Version Not Supported", "The server speaks only HTTP/1.0 and HTTP/1.1."),
}


class ResponseBuilder:
    """The parts of a response. It begins without content."""

    def __init__(self, status):
        self.status = status
        self.fields = []
        self.content = b""
        # There is no length where there can't be content (RFC 9110, 8.6).
        self.length = None if status == 204 else 0
        self.rest = None

    def field(self, name, value):
        """Adds a header field.

        A CR, an LF or a NUL in its value could end the field and begin another, of an attacker's choice
        (RFC 9110, 5.5).
        """
        if re.search("[\r\n\0]", value):
            raise ValueError(f"{name}: {value!r}")
        self.fields.append((name, value))
        return self

    def html(self, text):
        """Sets a page as the content."""
        self.content = text.encode()
        self.length = len(self.content)
        return self.field("Content-Type", "text/html; charset=utf-8")

    def file(self, file):
        """Sets a file as the content."""
        self.content, self.length, self.rest = file.first_chunk, file.length, file.rest
        return self.field("Content-Type", content_type(file.name))

    def build(self):
        """Puts the parts in order: status line, fields, empty line, content."""
        fields = [
            ("Date", formatdate(usegmt=True)),
            ("Server", NAME),
            ("Connection", "close"),
            *self.fields,
        ]
        if self.length is not None:
            fields.append(("Content-Length", str(self.length)))
        lines = [f"HTTP/1.1 {self.status} {STATUSES[self.status][0]}"]
        lines += [f"{name}: {value}" for name, value in fields]
        head = "".join(line + "\r\n" for line in [*lines, ""])
        return Response(self.status, head.encode(), self.content, self.rest, self.length)


def page(status):
    """Begins a response with a small page that names the status."""
    phrase, explanation = STATUSES[status]
    title = f"{status} {phrase}"
    return ResponseBuilder(status).html(
        f'<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<h1>{title}</h1>\n<p>{explanation}</p>\n</html>\n"
    )


class Response:
    """What a client gets."""

    def __init__(self, status, head, content, rest, length):
        self.status = status
        # How many bytes have been written, head and content.
        self.sent = 0
        # Whether everything has been written.
        self.is_complete = False
        # What is written next: at first the head, with the beginning of the content.
        self.chunk = head + content
        self.head = head
        # Where the rest of the content comes from.
        self.rest = rest
        # How long that rest must be, in bytes, if the head promises a length.
        self.left = None if length is None else length - len(content)

    def remove_content(self):
        """Leaves only the head."""
        self.close()
        self.chunk, self.rest = self.head, None

    def write_chunk(self, writer):
        """Writes the next chunk.

        Fails if a file has less than its head promises: then the client sees that something is missing.
        """
        writer.send_all(self.chunk)
        self.sent += len(self.chunk)
        self.chunk = b""
        if self.rest:
            is_known = self.left is not None
            self.chunk = self.rest.read(min(CHUNK_SIZE, self.left) if is_known else CHUNK_SIZE)
            if is_known and self.left > 0 and not self.chunk:
                raise OSError("the file has become shorter")
            if is_known:
                self.left -= len(self.chunk)
        self.is_complete = not self.chunk

    def close(self):
        """Closes the file."""
        if self.rest:
            self.rest.close()


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
