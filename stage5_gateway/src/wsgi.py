"""A worker: FastCGI on one side, a Python application (WSGI, PEP 3333) on the other.

The server starts it with a listening socket as descriptor 0, and names an application as
MODULE:CALLABLE. Read from the bottom: `main` accepts connections, `serve` takes requests from one,
`run` calls the application. Look at `Exchange.write`: the head waits for the first content, so
that an application that fails before it still gets an error page.
"""

import importlib
import io
import os
import re
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from wsgiref.util import FileWrapper

# Types of records (FastCGI 1.0, section 8).
BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11

RESPONDER = 1  # the role of an application that answers requests
KEEP_CONNECTION = 1  # the flag of a server that will use the connection again
REQUEST_COMPLETE, CANNOT_MULTIPLEX, UNKNOWN_ROLE = 0, 1, 3  # how a request ends

# What a server may ask: this worker takes one connection and one request at a time.
VALUES = {b"FCGI_MAX_CONNS": b"1", b"FCGI_MAX_REQS": b"1", b"FCGI_MPXS_CONNS": b"0"}

HEADER = struct.Struct(">BBHHBx")  # version, type, request id, content length, padding length
MAX_PIECE = 65528  # the longest content of a record that needs no padding

# What an application may send (RFC 9110, 5.1 and 5.5). A line break would begin another field.
STATUS = re.compile(r"[2-5][0-9][0-9]( [\t -~\x80-\xff]*)?")
NAME = re.compile(r"(?!status$)[!#$%&'*+.^_`|~0-9a-z-]+", re.IGNORECASE | re.ASCII)
VALUE = re.compile(r"[\t -~\x80-\xff]*")

ERROR_PAGE = b"""<!DOCTYPE html><html lang="en"><title>500 Internal Server Error</title>
<h1>500 Internal Server Error</h1><p>The application failed. The server's log shows where.</p>
"""


class ClientLeft(ConnectionError):
    """Nobody waits for the response: the request was aborted, or the connection was closed."""


def records(kind, request_id, content=b""):
    """The content in one record, or in several if it is long. Each has a header and padding."""
    result = []
    for start in range(0, len(content) or 1, MAX_PIECE):
        piece = content[start : start + MAX_PIECE]
        padding = -len(piece) % 8
        header = HEADER.pack(1, kind, request_id, len(piece), padding)
        result += [header, piece, bytes(padding)]
    return b"".join(result)


def end_record(request_id, reason):
    return records(END_REQUEST, request_id, struct.pack(">IB3x", 0, reason))


def parse_pairs(data):
    """Names and values. In front of each pair are its two lengths, in one byte or four (3.4)."""
    pairs, position = {}, 0
    while position < len(data):
        lengths = []
        for _ in range(2):
            size = 4 if data[position] & 0x80 else 1
            length = int.from_bytes(data[position : position + size], "big")
            lengths.append(length & 0x7FFFFFFF)
            position += size
        middle = position + lengths[0]
        end = middle + lengths[1]
        pairs[bytes(data[position:middle])] = bytes(data[middle:end])
        position = end
    return pairs


class Connection:
    """A connection from the server, which carries records in both directions."""

    def __init__(self, sock):
        self.socket = sock
        self.received = bytearray()  # may end in the middle of a record
        self.request_id = 0  # of the running request, or 0
        self.lock = threading.Lock()  # threads of an application may write to wsgi.errors

    def send(self, data):
        try:
            with self.lock:
                self.socket.sendall(data)
        except OSError:
            raise ClientLeft from None

    def receive(self, size):
        while len(self.received) < size:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                raise ClientLeft
            self.received += data
        data = bytes(self.received[:size])
        del self.received[:size]
        return data

    def has_input(self):
        return bool(self.received or select.select([self.socket], [], [], 0)[0])

    def next_record(self):
        """Takes one record. Returns it if it begins a request or belongs to the running one."""
        _, kind, request_id, length, padding = HEADER.unpack(self.receive(HEADER.size))
        content = self.receive(length + padding)[:length]
        if request_id == 0:
            self.send(answer(kind, content))
        elif kind == BEGIN_REQUEST and self.request_id:
            self.send(end_record(request_id, CANNOT_MULTIPLEX))
        elif kind == BEGIN_REQUEST or request_id == self.request_id:
            return kind, request_id, content
        return None  # it was about the worker, or about a request that has ended


def answer(kind, content):
    """The answer to a management record, which is about the worker and not about a request."""
    if kind != GET_VALUES:
        return records(UNKNOWN_TYPE, 0, bytes([kind]) + bytes(7))
    known = [(name, VALUES[name]) for name in parse_pairs(content) if name in VALUES]
    pairs = [bytes([len(name), len(value)]) + name + value for name, value in known]
    return records(GET_VALUES_RESULT, 0, b"".join(pairs))


class Exchange:
    """A request, as far as it has arrived, and its response, as far as it has been sent."""

    def __init__(self, connection, request_id):
        self.connection = connection
        self.id = connection.request_id = request_id
        self.params = bytearray()
        self.content = bytearray()  # has arrived, but the application hasn't read it
        self.params_complete = self.content_complete = self.aborted = False
        self.head = b""
        self.head_sent = self.response_complete = False

    def advance(self):
        """Takes one more record. Types that a later version may have are ignored."""
        kind, _, data = self.connection.next_record() or (None, 0, b"")
        if kind == PARAMS:
            self.params += data
            self.params_complete = not data  # an empty record ends a stream
        elif kind == STDIN:
            self.content += data
            self.content_complete = not data
        elif kind == ABORT_REQUEST:
            self.aborted = True

    def environ(self):
        """The request as applications expect it: text in which each character is a byte."""
        pairs = parse_pairs(self.params).items()
        environ = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        environ["wsgi.version"] = (1, 0)
        environ["wsgi.url_scheme"] = environ.get("REQUEST_SCHEME", "http")
        environ["wsgi.input"] = io.BufferedReader(Content(self))
        environ["wsgi.errors"] = Errors(self.connection)
        environ["wsgi.multithread"] = environ["wsgi.run_once"] = False
        environ["wsgi.multiprocess"] = True
        environ["wsgi.file_wrapper"] = FileWrapper
        return environ

    def start_response(self, status, fields, exc_info=None):
        """Checks and keeps the head. With `exc_info` it may replace one that hasn't been sent."""
        if exc_info and self.head_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.head and not exc_info:
            raise RuntimeError("start_response was called twice")
        if not STATUS.fullmatch(status):
            raise ValueError(f"this is no status: {status!r}")
        head = f"Status: {status}\r\n"
        for name, value in fields:
            if not NAME.fullmatch(name) or not VALUE.fullmatch(value):
                raise ValueError(f"this is no header field: {name!r}: {value!r}")
            head += f"{name}: {value}\r\n"
        self.head = (head + "\r\n").encode("latin-1")
        return self.write

    def write(self, piece):
        """Sends a piece of content at once, the first one together with the head."""
        if not isinstance(piece, bytes):
            raise TypeError(f"content must be bytes, not {type(piece).__name__}")
        # Has the client left? Unread content may precede the abort. It is kept up to a limit.
        while len(self.content) < MAX_PIECE and not self.aborted and self.connection.has_input():
            self.advance()
        if self.aborted:
            raise ClientLeft
        if piece:
            self.send(piece)

    def send(self, piece):
        if not self.head:
            raise RuntimeError("start_response wasn't called before the content")
        data = piece if self.head_sent else self.head + piece
        self.head_sent = True
        self.connection.send(records(STDOUT, self.id, data))

    def end(self):
        self.content.clear()  # nobody has read it
        while not self.content_complete and not self.aborted:
            self.advance()
            self.content.clear()
        self.connection.request_id = 0
        streams = records(STDOUT, self.id) + records(STDERR, self.id)
        self.connection.send(streams + end_record(self.id, REQUEST_COMPLETE))


class Content(io.RawIOBase):
    """`wsgi.input` without its buffer, which adds lines and iteration."""

    def __init__(self, exchange):
        self.exchange = exchange

    def readable(self):
        return True

    def readinto(self, buffer):
        exchange = self.exchange
        while not (exchange.content or exchange.content_complete or exchange.aborted):
            exchange.advance()
        if exchange.aborted:
            raise ClientLeft
        size = min(len(buffer), len(exchange.content))
        buffer[:size] = exchange.content[:size]
        del exchange.content[:size]
        return size


class Errors(io.TextIOBase):
    """`wsgi.errors`: goes to the server while a request runs, and later to standard error."""

    def __init__(self, connection):
        self.connection = connection

    def write(self, text):
        data = text.encode("utf-8", "backslashreplace")
        try:
            if not self.connection.request_id:
                raise ClientLeft
            self.connection.send(records(STDERR, self.connection.request_id, data))
        except ClientLeft:
            print(text, end="", file=sys.stderr, flush=True)
        return len(text)


def run(application, exchange):
    """Calls the application, and sends what it returns. Returns whether the response is whole."""
    environ, result = exchange.environ(), None
    errors = environ["wsgi.errors"]
    try:
        try:
            result = application(environ, exchange.start_response)
            for piece in result:
                exchange.write(piece)
            exchange.write(b"")
            if not exchange.head_sent:
                exchange.send(b"")
            exchange.response_complete = True
        finally:
            if hasattr(result, "close"):
                result.close()
    except ClientLeft:
        pass
    except Exception:
        errors.write(traceback.format_exc())
        if exchange.head_sent:
            return exchange.response_complete or exchange.aborted
        fields = [("Content-Type", "text/html")]
        exchange.start_response("500 Internal Server Error", fields, sys.exc_info())
        exchange.send(ERROR_PAGE)
    return True


def serve(connection, application):
    """Takes one request after another, until the connection is closed."""
    keep = True
    while keep:
        record = connection.next_record()
        if record is None:
            continue
        _, request_id, content = record
        role, flags = struct.unpack_from(">HB", content)
        keep = flags & KEEP_CONNECTION
        if role != RESPONDER:
            connection.send(end_record(request_id, UNKNOWN_ROLE))
            continue
        exchange = Exchange(connection, request_id)
        while not exchange.params_complete and not exchange.aborted:
            exchange.advance()
        if not exchange.aborted and not run(application, exchange):
            return  # without the end of the request, so that the client sees what is missing
        exchange.end()


def load(name):
    """The application that MODULE:CALLABLE names."""
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        advice = "Start the server in the folder of that module, without `.py` in its name"
        is_missing = isinstance(error, ModuleNotFoundError)
        if not is_missing or not f"{module_name}.".startswith(f"{error.name}."):
            traceback.print_exc()  # it is there, but it fails
            advice = "Correct what the traceback shows"
        reason = traceback.format_exception_only(type(error), error)[-1].splitlines()[0]
        sys.exit(f"Cannot import `{module_name}` in {os.getcwd()}: {reason}. {advice}")
    application = getattr(module, attribute, None)
    if not callable(application):
        place = f"`{module_name}` ({getattr(module, '__file__', None)})"
        sys.exit(f"Cannot call `{attribute}`: {place} has no such function. Define it there")
    return application


def main():
    if sys.version_info < (3, 9):
        version = sys.version.split()[0]
        sys.exit(f"{sys.executable} is Python {version}: install 3.9 or later, or change PATH")
    if len(sys.argv) != 2 or not re.fullmatch(r"\w+(\.\w+)*:\w+", sys.argv[1]):
        sys.exit(f"Cannot use {sys.argv[1:]}: give MODULE:CALLABLE, such as hello:application")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    try:
        # Programs that the application starts don't inherit this copy.
        listener = socket.socket(fileno=os.dup(0))
    except OSError as error:
        sys.exit(f"Cannot listen on descriptor 0: {error}. Let a server start this, with --wsgi")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    listener.setblocking(True)
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.path.insert(0, os.getcwd())
    application = load(sys.argv[1])
    while True:
        with listener.accept()[0] as sock:
            try:
                serve(Connection(sock), application)
            except ClientLeft:
                pass


if __name__ == "__main__":
    main()
