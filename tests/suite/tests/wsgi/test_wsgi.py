"""Tests of `stage5_gateway/src/wsgi.py` and of the sample applications, without a server.

    python3 -m unittest discover tests/suite/tests/wsgi

A small FastCGI client starts workers as the server does, and looks at every record they send.
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from urllib.parse import urlencode

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 4))
STAGE = os.path.join(REPOSITORY, "stage5_gateway")
APPS = os.path.join(STAGE, "apps")
with open(os.path.join(STAGE, "src", "wsgi.py"), encoding="utf-8") as file:
    SOURCE = file.read()

TIMEOUT = 30  # seconds, for everything that could wait
BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = 9, 10, 11
MIB = 1024 * 1024

TEST_APP = '''
import sys
import time

def respond(start_response, text, status="200 OK", fields=()):
    start_response(status, [("Content-Type", "text/plain"), *fields])
    return [text if isinstance(text, bytes) else text.encode()]

def application(environ, start_response):
    return globals()[environ["PATH_INFO"].strip("/")](environ, start_response)

def plain(environ, start_response):
    return respond(start_response, "plain")

def types(environ, start_response):
    names = "version url_scheme multithread multiprocess run_once".split()
    shown = [type(environ) is dict] + [environ["wsgi." + name] for name in names]
    return respond(start_response, repr(shown))

def show(environ, start_response):
    return respond(start_response, environ["SHOWN"].encode("latin-1"))

def digest(environ, start_response):
    import hashlib
    digest = hashlib.sha256()
    while piece := environ["wsgi.input"].read(10_000):
        digest.update(piece)
    return respond(start_response, digest.hexdigest())

def reading(environ, start_response):
    stream = environ["wsgi.input"]
    found = [stream.read(2), stream.read(0), stream.readline(), stream.readline(3), stream.readline()]
    found += [next(iter(stream)), stream.readlines(1), stream.readlines(), stream.read(5), stream.read()]
    return respond(start_response, repr(found))

def upper(environ, start_response):
    start_response("200 OK", [])
    for line in environ["wsgi.input"]:
        yield line.upper()

def big(environ, start_response):
    start_response("200 OK", [])
    yield b"a" * (20 * 1024 * 1024)
    yield b"b"

class Closing:
    def __init__(self, environ, pieces, fails=False):
        self.errors, self.pieces, self.fails = environ["wsgi.errors"], iter(pieces), fails
    def __iter__(self):
        return self.pieces
    def close(self):
        self.errors.write("closed\\n")
        if self.fails:
            raise OSError("close failed")

def closing(environ, start_response):
    start_response("200 OK", [])
    return Closing(environ, [b"", b"one", b"", b"two"])

def closing_empty(environ, start_response):
    start_response("204 No Content", [])
    return Closing(environ, [])

def closing_fails(environ, start_response):
    start_response("200 OK", [])
    return Closing(environ, [b"whole"], fails=True)

def closing_late(environ, start_response):
    def pieces():
        start_response("200 OK", [])
        yield b"begun"
        raise OSError("broke")
    return Closing(environ, pieces())

def late_start(environ, start_response):
    yield b""
    start_response("201 Created", [("X", "1")])
    yield b"late"

def events(environ, start_response):
    start_response("200 OK", [])
    def pieces():
        while True:
            yield b"event"
            time.sleep(0.01)
    return Closing(environ, pieces())

def stores(environ, start_response):
    environ["wsgi.input"].read()
    environ["wsgi.errors"].write("stored")
    return respond(start_response, "stored")

def writes(environ, start_response):
    write = start_response("200 OK", [])
    write(b"written ")
    return [b"returned"]

def writes_for_ever(environ, start_response):
    write = start_response("200 OK", [])
    while True:
        write(b"event")
        time.sleep(0.01)

def steps(environ, start_response):
    start_response("200 OK", [])
    stream = environ["wsgi.input"]
    yield b"head"
    while line := stream.readline():
        yield b"got " + line

def wrapped(environ, start_response):
    import io
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"0123456789"), 4)

def logs(environ, start_response):
    errors = environ["wsgi.errors"]
    errors.write("one ")
    errors.writelines(["two\\n", "\\u4f60\\udc80\\n"])
    print("printed", file=errors)
    errors.flush()
    global kept
    kept = errors, environ["wsgi.input"]
    return respond(start_response, "logged")

def logs_in_threads(environ, start_response):
    from threading import Thread
    write = environ["wsgi.errors"].write
    threads = [Thread(target=lambda: [write("line\\n" * 5000) for _ in range(20)]) for _ in range(2)]
    start_response("200 OK", [])
    for thread in threads:
        thread.start()
    for _ in range(20):
        yield b"a" * 100000
    for thread in threads:
        thread.join()

def logs_later(environ, start_response):
    return respond(start_response, kept[1].read())

def raises(environ, start_response):
    raise KeyError("raised early")

def raises_after_start(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    raise KeyError("raised after the head")

def replaces(environ, start_response):
    start_response("200 OK", [("X-First", "1")])
    try:
        raise KeyError
    except KeyError:
        start_response("503 Busy", [("X-Second", "1")], sys.exc_info())
    return [b"sorry"]

def replaces_too_late(environ, start_response):
    write = start_response("200 OK", [])
    write(b"begun")
    try:
        raise KeyError("reraised")
    except KeyError:
        start_response("503 Busy", [], sys.exc_info())
    return [b"not reached"]

def none(environ, start_response):
    start_response("200 OK", [])

def text(environ, start_response):
    start_response("200 OK", [])
    return ["text"]

def no_start(environ, start_response):
    return [b"no start"]

def no_start_empty(environ, start_response):
    return []

def twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return [b""]

def head(environ, start_response):
    status, fields = eval(environ["SHOWN"])
    start_response(status, fields)
    return [b"sent"]

def leaves(environ, start_response):
    sys.exit("left")

def descriptors(environ, start_response):
    import subprocess
    done = subprocess.run(["readlink", "/proc/self/fd/0"], capture_output=True)
    print("to standard output")
    return respond(start_response, done.stdout)

not_callable = 7
'''


def record(kind, content=b"", request_id=1, padding=0):
    return struct.pack(">BBHHBx", 1, kind, request_id, len(content), padding) + content + b"p" * padding


def pairs(values):
    result = b""
    for name, value in values.items():
        for text in (name, value):
            short = len(text) < 128
            result += bytes([len(text)]) if short else struct.pack(">I", len(text) | 1 << 31)
        result += name.encode() + (value if isinstance(value, bytes) else value.encode("latin-1"))
    return result


def request(path="/plain", content=b"", keep=True, request_id=1, padding=0, role=1, **more):
    params = {
        "REQUEST_METHOD": "POST" if content else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8001",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(content)) if content else "",
        **more,
    }
    data = record(BEGIN, struct.pack(">HB5x", role, keep), request_id, padding)
    data += record(PARAMS, pairs(params), request_id, padding) + record(PARAMS, b"", request_id)
    for start in range(0, len(content), 65535):
        data += record(STDIN, content[start : start + 65535], request_id, padding)
    return data + record(STDIN, b"", request_id, padding)


class Response:
    def __init__(self):
        self.out = self.err = b""
        self.pieces = []
        self.ended = None  # (application status, protocol status)

    @property
    def status(self):
        return self.head.split("\r\n")[0].removeprefix("Status: ")

    @property
    def head(self):
        return self.out.split(b"\r\n\r\n", 1)[0].decode("latin-1")

    @property
    def content(self):
        return self.out.split(b"\r\n\r\n", 1)[1]


class Worker:
    """A process that runs wsgi.py, with its own listening socket as descriptor 0."""

    def __init__(self, application, folder, **env):
        self.folder = tempfile.mkdtemp()
        self.path = os.path.join(self.folder, "socket")
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen(1024)
            self.process = subprocess.Popen(
                [sys.executable, "-c", SOURCE, application],
                stdin=listener,
                stdout=self.log,
                stderr=self.log,
                cwd=folder,
                env={"PATH": os.environ["PATH"], **env},
            )
        self.clients = []

    def connect(self):
        self.clients.append(Client(self.path))
        return self.clients[-1]

    def output(self):
        self.log.seek(0)
        return self.log.read().decode()

    def stop(self):
        for client in self.clients:
            client.close()
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.stream = self.socket.makefile("rb")

    def close(self):
        self.stream.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read_record(self):
        """The next record, or None at the end of the connection."""
        try:
            header = self.stream.read(8)
            if not header:
                return None
            version, kind, request_id, length, padding = struct.unpack(">BBHHBx", header)
            assert version == 1 and (length + padding) % 8 == 0, header
            return kind, request_id, self.stream.read(length + padding)[:length]
        except ConnectionResetError:
            return None

    def read_response(self, request_id=1):
        response = Response()
        deadline = time.monotonic() + TIMEOUT
        while response.ended is None:
            assert time.monotonic() < deadline, "the response doesn't end"
            received = self.read_record()
            if received is None:
                return response
            kind, number, content = received
            assert number == request_id, received
            if kind == STDOUT:
                response.out += content
                response.pieces.append(content)
            elif kind == STDERR:
                response.err += content
            elif kind == END:
                response.ended = struct.unpack(">IB3x", content)
        return response

    def ask(self, *args, **more):
        self.send(request(*args, **more))
        return self.read_response(more.get("request_id", 1))


class WorkerTest(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.write_module("app", TEST_APP)

    def write_module(self, name, text):
        with open(os.path.join(self.folder, name + ".py"), "w", encoding="utf-8") as module:
            module.write(textwrap.dedent(text))

    def start(self, application="app:application", folder=None, **env):
        worker = Worker(application, folder or self.folder, **env)
        self.addCleanup(worker.stop)
        return worker

    def client(self, *args, **env):
        return self.start(*args, **env).connect()

    def assert_whole(self, response, content, status="200 OK"):
        self.assertEqual((response.status, response.content), (status, content), response.err)
        self.assertEqual(response.ended, (0, 0))


class Protocol(WorkerTest):
    def test_kept_connection_takes_many_requests(self):
        client = self.client()
        for number in range(1, 200):
            self.assert_whole(client.ask(request_id=number), b"plain")

    def test_connection_is_closed_unless_kept(self):
        worker = self.start()
        client = worker.connect()
        self.assert_whole(client.ask(keep=False), b"plain")
        self.assertIsNone(client.read_record())
        self.assert_whole(worker.connect().ask(), b"plain")

    def test_server_may_leave_at_any_byte(self):
        worker = self.start()
        data = request("/upper", b"content\n")
        for end in range(len(data)):
            client = Client(worker.path)
            client.send(data[:end])
            client.close()
        self.assert_whole(worker.connect().ask(), b"plain")
        self.assertEqual(worker.output(), "")

    def test_records_may_be_split_at_every_byte(self):
        client = self.client()
        data = request("/upper", b"a\nb\n", padding=3)
        for middle in range(1, len(data)):
            client.send(data[:middle])
            client.send(data[middle:])
            self.assert_whole(client.read_response(), b"A\nB\n")
        for byte in data:
            client.send(bytes([byte]))
        self.assert_whole(client.read_response(), b"A\nB\n")

    def test_params_may_be_split_and_long(self):
        client = self.client()
        value = bytes(range(1, 256)) * 600
        data = pairs({"REQUEST_METHOD": "GET", "PATH_INFO": "/show", "SHOWN": value})
        client.send(record(BEGIN, struct.pack(">HB5x", 1, 1)))
        for start in range(0, len(data), 1021):
            client.send(record(PARAMS, data[start : start + 1021], padding=7))
        client.send(record(PARAMS) + record(STDIN))
        self.assert_whole(client.read_response(), value)

    def test_values_are_answered_after_the_import(self):
        self.write_module("slow", "import time; time.sleep(0.5); ready = time.monotonic()\n" + TEST_APP)
        client = self.client("slow:application")
        begin = time.monotonic()
        client.send(record(GET_VALUES, pairs({"FCGI_MPXS_CONNS": "", "OTHER": "", "FCGI_MAX_REQS": ""}), 0))
        kind, number, content = client.read_record()
        self.assertGreater(time.monotonic() - begin, 0.4)
        self.assertEqual((kind, number), (GET_VALUES_RESULT, 0))
        self.assertEqual(content, pairs({"FCGI_MPXS_CONNS": "0", "FCGI_MAX_REQS": "1"}))
        self.assert_whole(client.ask(), b"plain")

    def test_unknown_management_record_is_answered(self):
        client = self.client()
        client.send(record(99, b"what", 0))
        self.assertEqual(client.read_record(), (UNKNOWN_TYPE, 0, bytes([99]) + bytes(7)))
        self.assert_whole(client.ask(), b"plain")

    def test_unknown_records_and_other_requests_are_ignored(self):
        client = self.client()
        data = record(99, b"x") + record(ABORT, b"", 5) + record(STDIN, b"x", 5)
        begin = record(BEGIN, struct.pack(">HB5x", 1, 1))
        client.send(data + request().replace(begin, begin + data, 1))
        self.assert_whole(client.read_response(), b"plain")

    def test_second_request_at_once_is_refused(self):
        client = self.client()
        client.send(record(BEGIN, struct.pack(">HB5x", 1, 1)))
        client.send(record(BEGIN, struct.pack(">HB5x", 1, 1), 2))
        self.assertEqual(client.read_record(), (END, 2, struct.pack(">IB3x", 0, 1)))
        client.send(request()[16:])
        self.assert_whole(client.read_response(), b"plain")

    def test_other_roles_are_refused(self):
        client = self.client()
        client.send(request(role=3))
        self.assertEqual(client.read_record(), (END, 1, struct.pack(">IB3x", 0, 3)))
        self.assert_whole(client.ask(), b"plain")

    def test_signals_end_the_worker(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            worker = self.start()
            self.assert_whole(worker.connect().ask(), b"plain")
            worker.process.send_signal(number)
            self.assertEqual(worker.process.wait(TIMEOUT), -number)
            self.assertEqual(worker.output(), "")


class Content(WorkerTest):
    def test_reading(self):
        content = b"ab\ncdefg\nhi\njk\nlm\nno\n"
        expected = [b"ab", b"", b"\n", b"cde", b"fg\n", b"hi\n", [b"jk\n"], [b"lm\n", b"no\n"], b"", b""]
        self.assert_whole(self.client().ask("/reading", content), repr(expected).encode())

    def test_big_content_both_ways(self):
        client = self.client()
        content = os.urandom(MIB) * 20
        expected = hashlib.sha256(content).hexdigest().encode()
        self.assert_whole(client.ask("/digest", content), expected)
        response = client.ask("/big")
        self.assertEqual(hashlib.sha256(response.content).digest(), hashlib.sha256(b"a" * 20 * MIB + b"b").digest())
        self.assertEqual(response.ended, (0, 0))

    def test_content_is_read_when_it_is_needed(self):
        client = self.client()
        data = request("/steps", b"1\n2\n")
        client.send(data[:-8].replace(record(STDIN, b"1\n2\n"), b""))
        for line in (b"1\n", b"2\n"):
            self.assertEqual(client.read_record()[2][-len(b"head"):], b"head" if line == b"1\n" else b"t 1\n")
            client.send(record(STDIN, line))
        self.assertEqual(client.read_record()[2], b"got 2\n")
        client.send(record(STDIN))
        self.assertEqual(client.read_response().ended, (0, 0))

    def test_unread_content_is_skipped(self):
        client = self.client()
        for path in ("/plain", "/raises", "/closing"):
            response = client.ask(path, b"x" * (3 * MIB))
            self.assertEqual(response.ended, (0, 0))
        self.assert_whole(client.ask("/upper", b"still in step"), b"STILL IN STEP")

    def test_request_ends_after_its_content(self):
        client = self.client()
        client.send(request("/plain", b"content")[:-8])
        self.assertIn(b"plain", client.read_record()[2])
        client.send(record(99, b"", 0))
        self.assertEqual(client.read_record()[0], UNKNOWN_TYPE)
        client.send(record(STDIN))
        self.assertEqual(client.read_response().ended, (0, 0))

    def test_ended_content_stays_ended(self):
        client = self.client()
        self.assert_whole(client.ask("/logs", b"unread"), b"logged")
        self.assert_whole(client.ask("/logs_later", b"of the next request"), b"")
        self.assert_whole(client.ask(), b"plain")


class Leaving(WorkerTest):
    def test_abort_ends_a_stream(self):
        client = self.client()
        for path, closed in (("/events", b"closed\n"), ("/writes_for_ever", b"")):
            client.send(request(path, b"unread content"))
            self.assertIn(b"event", client.read_record()[2])
            client.send(record(ABORT))
            response = client.read_response()
            self.assertEqual((response.ended, response.err), ((0, 0), closed))
        self.assert_whole(client.ask(), b"plain")

    def test_looking_for_an_abort_never_waits(self):
        client = self.client()
        client.send(request("/events"))
        self.assertIn(b"event", client.read_record()[2])
        client.send(record(99, b"", 0))
        kinds = [client.read_record()[0] for _ in range(20)]
        while UNKNOWN_TYPE not in kinds[:-5]:
            kinds.append(client.read_record()[0])
        self.assertEqual(kinds[-5:], [STDOUT] * 5)

    def test_abort_before_the_request_is_complete(self):
        client = self.client()
        client.send(request()[:16] + record(ABORT))
        self.assertEqual(client.read_response().ended, (0, 0))
        # An application must not take a part of the content for the whole.
        client.send(request("/stores", b"content")[:-8] + record(ABORT))
        response = client.read_response()
        self.assertEqual((response.ended, response.out, response.err), ((0, 0), b"", b""))
        self.assert_whole(client.ask(), b"plain")

    def test_server_leaves_during_a_stream(self):
        worker = self.start()
        client = worker.connect()
        client.send(request("/events"))
        self.assertIn(b"event", client.read_record()[2])
        client.close()
        self.assert_whole(worker.connect().ask(), b"plain")
        self.assertEqual(worker.output(), "closed\n")


class Responses(WorkerTest):
    def test_environ(self):
        response = self.client().ask("/types", REQUEST_SCHEME="http")
        self.assert_whole(response, b"[True, (1, 0), 'http', False, True, False]")

    def test_latin_1_both_ways(self):
        response = self.client().ask("/show", SHOWN="\xe4\xbd\xa0\xff".encode("latin-1"))
        self.assert_whole(response, b"\xe4\xbd\xa0\xff")
        response = self.client().ask("/head", SHOWN=repr(("200 \xff", [("X", "\xe4\xbd")])))
        self.assertIn("Status: 200 \xff\r\nX: \xe4\xbd", response.head)

    def test_pieces_are_sent_as_they_come(self):
        response = self.client().ask("/closing")
        self.assertEqual(response.pieces, [b"Status: 200 OK\r\n\r\none", b"two", b""])
        self.assertEqual((response.err, response.ended), (b"closed\n", (0, 0)))

    def test_no_content(self):
        response = self.client().ask("/closing_empty")
        self.assert_whole(response, b"", "204 No Content")
        self.assertEqual(response.err, b"closed\n")

    def test_head_waits_for_content(self):
        response = self.client().ask("/late_start")
        self.assert_whole(response, b"late", "201 Created")

    def test_write_and_file_wrapper(self):
        client = self.client()
        response = client.ask("/writes")
        self.assert_whole(response, b"written returned")
        self.assertEqual(len(response.pieces), 3)
        response = client.ask("/wrapped")
        self.assert_whole(response, b"0123456789")
        self.assertEqual(len(response.pieces), 4)

    def test_errors_go_to_the_server(self):
        response = self.client().ask("/logs")
        self.assert_whole(response, b"logged")
        self.assertEqual(response.err, "one two\n你\\udc80\nprinted\n".encode())

    def test_threads_share_the_connection(self):
        response = self.client().ask("/logs_in_threads")
        self.assert_whole(response, b"a" * 2000000)
        self.assertEqual(response.err, b"line\n" * 200000)

    def test_own_descriptors_stay_own(self):
        worker = self.start()
        self.assert_whole(worker.connect().ask("/descriptors"), b"/dev/null\n")
        self.assertEqual(worker.output(), "to standard output\n")


class Failures(WorkerTest):
    def test_before_the_head(self):
        client = self.client()
        for path, reason in (
            ("/raises", b"KeyError: 'raised early'"),
            ("/raises_after_start", b"KeyError: 'raised after the head'"),
            ("/none", b"TypeError: 'NoneType' object is not iterable"),
            ("/text", b"TypeError: content must be bytes, not str"),
            ("/no_start", b"RuntimeError: start_response wasn't called"),
            ("/no_start_empty", b"RuntimeError: start_response wasn't called"),
            ("/twice", b"RuntimeError: start_response was called twice"),
        ):
            response = client.ask(path)
            self.assertEqual((response.status, response.ended), ("500 Internal Server Error", (0, 0)))
            self.assertIn(b"The application failed", response.content)
            self.assertNotIn("X-First", response.head)
            self.assertIn(b"Traceback", response.err)
            self.assertIn(reason, response.err)
        self.assert_whole(client.ask(), b"plain")

    def test_after_the_head_the_response_stays_incomplete(self):
        worker = self.start()
        for path, reason in (("/closing_late", b"OSError: broke"), ("/replaces_too_late", b"KeyError: 'reraised'")):
            client = worker.connect()
            response = client.ask(path)
            self.assertEqual((response.content, response.ended), (b"begun", None))
            self.assertIn(reason, response.err)
            self.assertEqual(b"closed" in response.err, path == "/closing_late")
        self.assert_whole(worker.connect().ask(), b"plain")

    def test_close_fails_after_a_whole_response(self):
        response = self.client().ask("/closing_fails")
        self.assert_whole(response, b"whole")
        self.assertIn(b"OSError: close failed", response.err)

    def test_head_is_replaced_on_an_error(self):
        response = self.client().ask("/replaces")
        self.assert_whole(response, b"sorry", "503 Busy")
        self.assertEqual(response.head, "Status: 503 Busy\r\nX-Second: 1")

    def test_bad_heads(self):
        client = self.client()
        for status, fields in (
            ("200 OK\r\nX: 1", []),
            ("OK", []),
            ("99 Low", []),
            ("2000 High", []),
            (b"200 OK", []),
            (200, []),
            ("200 \u4f60", []),
            ("200 OK", [("X\r\nY", "1")]),
            ("200 OK", [("X", "1\r\nY: 2")]),
            ("200 OK", [("X", "1\nY: 2")]),
            ("200 OK", [("X", "\0")]),
            ("200 OK", [("X", "\u4f60")]),
            ("200 OK", [("X", 7)]),
            ("200 OK", [("", "1")]),
            ("200 OK", [("X Y", "1")]),
            ("200 OK", [("Status", "404 Not Found")]),
            ("200 OK", [("status", "404 Not Found")]),
        ):
            with self.subTest(status=status, fields=fields):
                response = client.ask("/head", SHOWN=ascii((status, fields)))
                self.assertEqual(response.status, "500 Internal Server Error")
                self.assertRegex(response.err, b"(?m)^(ValueError|TypeError): ")
        response = client.ask("/head", SHOWN=repr(("200", [("Set-Cookie", "a"), ("Set-Cookie", "b")])))
        self.assertEqual(response.head, "Status: 200\r\nSet-Cookie: a\r\nSet-Cookie: b")


class Start(WorkerTest):
    def assert_fails(self, application, *expected, traceback=False, source=SOURCE):
        arguments = [application] if isinstance(application, str) else application
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(self.folder, "socket"))
            listener.listen()
            done = subprocess.run(
                [sys.executable, "-c", source, *arguments],
                stdin=listener,
                capture_output=True,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"]},
                timeout=TIMEOUT,
            )
        os.unlink(os.path.join(self.folder, "socket"))
        lines = done.stderr.decode().splitlines()
        self.assertEqual(done.returncode, 1, lines)
        self.assertEqual(len(lines) > 1, traceback, lines)
        for text in expected:
            self.assertIn(text, lines[-1])

    def test_module_is_missing(self):
        self.assert_fails("nosuch:application", "Cannot import `nosuch`", self.folder)
        self.assert_fails("no.such:application", "Cannot import `no.such`", "Start the server in")

    def test_module_fails(self):
        self.write_module("broken", "import nosuchpackage")
        self.assert_fails("broken:a", "Cannot import `broken`", "nosuchpackage", "traceback", traceback=True)
        self.write_module("syntax", "def")
        self.assert_fails("syntax:a", "Cannot import `syntax`", "SyntaxError", traceback=True)
        self.write_module("leaving", "import sys\nprint('a')\nsys.exit(0)")
        self.assert_fails("leaving:a", "Cannot import `leaving`", "SystemExit", traceback=True)

    def test_callable_is_missing(self):
        self.assert_fails("app:nosuch", "Cannot call `nosuch`", "app.py")
        self.assert_fails("app:not_callable", "Cannot call `not_callable`", "app.py")

    def test_arguments(self):
        for arguments in ([], ["app"], ["app:"], [":a"], ["a:b", "c"], ["dir/app:a"], ["a..b:c"], [""]):
            self.assert_fails(arguments, "MODULE:CALLABLE")

    def test_old_python(self):
        old = "import sys\nsys.version_info = (3, 8, 1)\n" + SOURCE
        self.assert_fails("app:application", "3.9", sys.executable, source=old)

    def test_no_socket(self):
        done = subprocess.run(
            [sys.executable, "-c", SOURCE, "app:application"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.folder,
            timeout=TIMEOUT,
        )
        lines = done.stderr.decode().splitlines()
        self.assertEqual((done.returncode, len(lines)), (1, 1), lines)
        self.assertIn("descriptor 0", lines[0])


class Samples(WorkerTest):
    def setUp(self):
        super().setUp()
        for name in ("hello", "files", "members"):
            shutil.copy(os.path.join(APPS, name + ".py"), self.folder)
        self.root = os.path.join(self.folder, "root")
        os.makedirs(os.path.join(self.root, "inner"))
        self.write(self.root, "simple_navbar.html", b"<p>start</p>")
        self.write(self.root, "\u4f60.txt", b"text")
        self.write(self.root, "archive.tar.gz", b"\x1f\x8b")
        self.write(self.folder, "outside.txt", b"outside")
        self.write(self.root, "big.bin", b"b" * MIB)
        self.write(self.root, "secret.txt", b"secret", 0o600)
        os.symlink("../outside.txt", os.path.join(self.root, "link.txt"))
        os.mkfifo(os.path.join(self.root, "pipe"), 0o666)
        self.database = os.path.join(self.folder, "members.sqlite3")

    def write(self, folder, name, content, mode=0o644):
        path = os.path.join(folder, name)
        with open(path, "wb") as output:
            output.write(content)
        os.chmod(path, mode)

    def validated(self, name):
        """The sample inside the validator of the standard library, which raises on any breach."""
        wrapper = f"from wsgiref.validate import validator\nfrom {name} import application\n"
        wrapper += "application = validator(application)\n"
        self.write_module("validated_" + name, wrapper)
        self.worker = self.start(f"validated_{name}:application", SITE_DATABASE=self.database)
        return self.worker.connect()

    def test_hello(self):
        client = self.validated("hello")
        response = client.ask("/\u00e4\u00bd\u00a0<script>", HTTP_USER_AGENT="<b>", SERVER_SOFTWARE="x")
        self.assertEqual((response.status, response.err), ("200 OK", b""))
        self.assertIn("/\u4f60&lt;script&gt;".encode(), response.content)
        self.assertIn(b"&lt;b&gt;", response.content)
        self.assertNotIn(b"<script>", response.content)

    def test_files(self):
        client = self.validated("files")
        found = {
            "": (b"<p>start</p>", "text/html; charset=utf-8"),
            "/": (b"<p>start</p>", "text/html; charset=utf-8"),
            "/simple_navbar.html": (b"<p>start</p>", "text/html; charset=utf-8"),
            "/inner/../\u00e4\u00bd\u00a0.txt": (b"text", "text/plain; charset=utf-8"),
            "/archive.tar.gz": (b"\x1f\x8b", "application/octet-stream"),
            "/big.bin": (b"b" * MIB, "application/octet-stream"),
        }
        for path, (content, media_type) in found.items():
            response = client.ask(path, SCRIPT_NAME="/files", DOCUMENT_ROOT=self.root)
            self.assert_whole(response, content)
            self.assertIn(f"Content-Type: {media_type}\r\nContent-Length: {len(content)}", response.head)
            self.assertEqual(response.err, b"")
        missing = "/nosuch /../outside.txt //etc/passwd /link.txt /inner /pipe /secret.txt /a\0b /..".split(" ")
        for path in missing:
            with self.subTest(path=path):
                response = client.ask(path, SCRIPT_NAME="/files", DOCUMENT_ROOT=self.root)
                self.assertEqual((response.status, response.err), ("404 Not Found", b""))
        response = client.ask("/big.bin", SCRIPT_NAME="/files", DOCUMENT_ROOT=self.root, REQUEST_METHOD="HEAD")
        self.assert_whole(response, b"")
        self.assertIn(f"Content-Length: {MIB}", response.head)
        response = client.ask("/", b"x", SCRIPT_NAME="/files", DOCUMENT_ROOT=self.root)
        self.assertEqual(response.status, "405 Method Not Allowed")

    def test_members(self):
        browser = Browser(self, self.validated("members"))
        self.assertIn("Register or log in", browser.get("/"))
        name, password = "<script>alert(1)</script>", "correct horse"
        self.assertIn("Fill in both", browser.submit("/register", name="", password=""))
        self.assertEqual(browser.status, "422 Unprocessable Content")
        self.assertIn("at least 8", browser.submit("/register", name=name, password="short"))
        self.assertIn('value="&lt;script&gt;', browser.page)
        self.assertIn("at most 100", browser.submit("/register", name="a" * 101, password=password))
        self.assertIn("only visible", browser.submit("/register", name="a\0b", password=password))
        first_cookie = browser.cookie
        browser.submit("/register", name=name, password=password)
        self.assertEqual((browser.status, browser.location), ("303 See Other", "/members/"))
        self.assertNotEqual(browser.cookie, first_cookie)
        for attribute in ("HttpOnly", "SameSite=Lax", "Path=/members/"):
            self.assertIn(attribute, browser.set_cookie)
        page = browser.get("/")
        self.assertIn("Welcome, &lt;script&gt;alert(1)&lt;/script&gt;", page)
        self.assertNotIn("<script>", page)

        other = Browser(self, self.worker_client("members"))
        other.cookie = browser.cookie
        self.assertIn("Welcome, ", other.get("/"))
        other.cookie = first_cookie
        self.assertNotIn("Welcome, ", other.get("/"))

        member_cookie = browser.cookie
        browser.submit("/logout", form="/")
        self.assertEqual(browser.status, "303 See Other")
        self.assertNotIn("Welcome, ", browser.get("/"))
        other.cookie = member_cookie
        self.assertNotIn("Welcome, ", other.get("/"))
        self.assertIn("taken", browser.submit("/register", name=name, password=password))
        for wrong in ((name, "wrong"), ("nobody", password)):
            page = browser.submit("/login", name=wrong[0], password=wrong[1])
            self.assertIn("The name or the password is wrong", page)
        browser.submit("/login", name=f" {name} ", password=password)
        self.assertIn("Welcome, ", browser.get("/"))
        with open(self.database, "rb") as database:
            stored = database.read()
        self.assertNotIn(password.encode(), stored)
        self.assertNotIn(browser.cookie.split("=")[1].encode(), stored)
        self.assertEqual(os.stat(self.database).st_mode & 0o777, 0o600)

    def worker_client(self, name):
        return self.start(f"{name}:application", SITE_DATABASE=self.database).connect()

    def test_members_refuses_forged_forms(self):
        browser = Browser(self, self.validated("members"))
        fields = {"name": "mallory", "password": "long enough"}
        browser.post("/register", fields)
        self.assertEqual(browser.status, "403 Forbidden")
        browser.get("/register")
        token = browser.token()
        for wrong in ({}, {"csrf": ""}, {"csrf": "wrong"}, {"csrf": "\u4f60"}):
            browser.post("/register", {**fields, **wrong})
            self.assertEqual(browser.status, "403 Forbidden")
        cookie, browser.cookie = browser.cookie, "session=other"
        browser.post("/register", {**fields, "csrf": token})
        self.assertEqual(browser.status, "403 Forbidden")
        browser.cookie = cookie
        browser.post("/register", {**fields, "csrf": token})
        self.assertEqual(browser.status, "303 See Other")
        browser.post("/logout", {})
        self.assertEqual(browser.status, "403 Forbidden")
        self.assertIn("Welcome, mallory", browser.get("/"))
        browser.post("/register", {"name": "a" * 20_000})
        self.assertEqual(browser.status, "413 Content Too Large")
        browser.get("/nosuch")
        self.assertEqual(browser.status, "404 Not Found")
        browser.get("")
        self.assertEqual(browser.location, "/members/")
        browser.ask("/", REQUEST_METHOD="DELETE")
        self.assertIn("Allow: GET, HEAD, POST", browser.head)

    def test_members_survive_a_killed_worker(self):
        first = self.start("members:application", SITE_DATABASE=self.database)
        browser = Browser(self, first.connect())
        browser.submit("/register", name="ann", password="long enough")
        first.process.kill()
        first.process.wait()
        browser.client = self.worker_client("members")
        self.assertIn("Welcome, ann", browser.get("/"))

    def test_members_in_two_workers_at_once(self):
        workers = [self.start("members:application", SITE_DATABASE=self.database) for _ in range(2)]
        browsers = [Browser(self, worker.connect()) for worker in workers]
        for browser in browsers:
            browser.get("/register")
        for browser in browsers:
            fields = {"name": "same", "password": "long enough", "csrf": browser.token()}
            browser.client.send(browser.request("/register", urlencode(fields).encode()))
        statuses = [browser.take(browser.client.read_response()).status for browser in browsers]
        self.assertEqual(sorted(statuses), ["303 See Other", "422 Unprocessable Content"])

    def test_members_without_a_database(self):
        worker = self.start("members:application", SITE_DATABASE="/nosuch/file")
        self.assertEqual(worker.process.wait(TIMEOUT), 1)
        last = worker.output().splitlines()[-1]
        self.assertIn("/nosuch/file", last)
        self.assertIn("SITE_DATABASE", last)

    def run_cgi(self, name, content=b"", **env):
        return subprocess.run(
            [os.path.join(APPS, "cgi", name)],
            input=content,
            capture_output=True,
            env={"PATH": os.environ["PATH"], **env},
            timeout=TIMEOUT,
            check=True,
        ).stdout

    def test_cgi_environment(self):
        output = self.run_cgi("environment", QUERY_STRING="<b>\x1b[31m")
        self.assertTrue(output.startswith(b"Content-Type: text/plain; charset=utf-8\n\n"))
        self.assertIn(b"QUERY_STRING=<b>^[[31m\n", output)

    def test_cgi_form(self):
        content = b"name=%3Cscript%3E&text=%E4%BD%A0"
        output = self.run_cgi(
            "form",
            content + b"beyond the content",
            QUERY_STRING="a=",
            CONTENT_TYPE="application/x-www-form-urlencoded",
            CONTENT_LENGTH=str(len(content)),
        ).decode()
        self.assertIn('<tr><th scope="row">a</th><td></td></tr>', output)
        self.assertIn("<td>&lt;script&gt;</td>", output)
        self.assertIn("<td>\u4f60</td>", output)
        self.assertNotIn("beyond", output)

    def test_cgi_clock(self):
        with subprocess.Popen([os.path.join(APPS, "cgi", "clock")], stdout=subprocess.PIPE) as clock:
            try:
                lines = [clock.stdout.readline() for _ in range(8)]
                self.assertEqual(lines[0], b"Content-Type: text/event-stream\n")
                self.assertEqual([lines[3], lines[6]], [b"id: 1\n", b"id: 2\n"])
                self.assertIsNone(clock.poll())  # it is still running: the events came one by one
            finally:
                clock.kill()


class Browser:
    """What a browser keeps between requests to the site: its cookie, and the last page."""

    def __init__(self, test, client):
        self.test = test
        self.client = client
        self.cookie = self.page = self.set_cookie = ""

    def request(self, path, content=b"", **more):
        if self.cookie:
            more["HTTP_COOKIE"] = self.cookie
        return request(path, content, SCRIPT_NAME="/members", **more)

    def take(self, response):
        self.test.assertEqual((response.err, response.ended), (b"", (0, 0)))
        self.head, self.status, self.page = response.head, response.status, response.content.decode()
        location = re.search(r"(?m)^Location: (.*)\r", self.head)
        self.location = location and location[1]
        cookie = re.search(r"(?m)^Set-Cookie: (([^;]*).*?)\r?$", self.head)
        if cookie:
            self.set_cookie, self.cookie = cookie[1], cookie[2]
        return self

    def ask(self, path, content=b"", **more):
        self.client.send(self.request(path, content, **more))
        return self.take(self.client.read_response()).page

    def get(self, path):
        return self.ask(path)

    def token(self):
        return re.search(r'name="csrf" value="([^"]+)"', self.page)[1]

    def post(self, path, fields):
        # A form is never empty here: without content it would be a GET.
        return self.ask(path, urlencode({"form": "1", **fields}).encode())

    def submit(self, path, form=None, **fields):
        """Loads the page with the form, as a visitor would, and sends it."""
        self.get(form or path)
        return self.post(path, {**fields, "csrf": self.token()})


if __name__ == "__main__":
    unittest.main()
