#!/usr/bin/env python3
"""A FastCGI worker of the checks. The query says what to do, as COMMAND=NAME.

It leaves files for the check to see, and waits for others, in its own folder. One of them says that
it has started. An argument is the name of another.
"""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT = 1, 2, 3, 4, 5, 6
HEAD = b"Content-Type: text/plain\r\n\r\n"
FOLDER = os.path.dirname(os.path.abspath(__file__))


def note(name, text=""):
    """Writes a file that is complete as soon as it exists."""
    path = os.path.join(FOLDER, name)
    part = f"{path}.{os.getpid()}"
    with open(part, "w") as file:
        file.write(text + "\n")
    os.rename(part, path)


def receive(connection):
    """A record, or None at the end of the connection."""
    header = connection.recv(8, socket.MSG_WAITALL)
    if len(header) < 8:
        return None
    _, kind, request_id, length, padding = struct.unpack(">BBHHBx", header)
    size = length + padding
    content = connection.recv(size, socket.MSG_WAITALL) if size else b""
    return kind, request_id, content[:length]


def send(connection, kind, request_id, content=b""):
    connection.sendall(struct.pack(">BBHHBx", 1, kind, request_id, len(content), 0) + content)


def pairs(data):
    found = {}
    while data:
        lengths = []
        for _ in range(2):
            size = 4 if data[0] & 0x80 else 1
            lengths.append(int.from_bytes(data[:size], "big") & 0x7FFFFFFF)
            data = data[size:]
        name, value, data = (
            data[: lengths[0]],
            data[lengths[0] : sum(lengths)],
            data[sum(lengths) :],
        )
        found[name.decode("latin-1")] = value.decode("latin-1")
    return found


def work(connection, connections, params, content):
    """What to respond; None if the request was aborted."""
    command, _, name = params["QUERY_STRING"].partition("=")
    if command == "wait":
        note(f"{name}.started", str(os.getpid()))
        while not os.path.exists(os.path.join(FOLDER, f"{name}.go")):
            if select.select([connection], [], [], 0.02)[0]:
                record = receive(connection)
                note(f"{name}.aborted" if record and record[0] == ABORT else f"{name}.lost")
                return None
    if command == "hang":
        child = subprocess.Popen(["sleep", "100"], stdin=subprocess.DEVNULL)
        note(f"{name}.started", f"{os.getpid()} {child.pid}")
        signal.pause()
    if command == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if command == "env":
        return "".join(f"{name}={value}\n" for name, value in os.environ.items())
    if command == "length":
        return str(len(content))
    return f"{os.getpid()} {connections} {os.fstat(0).st_ino}\n"


def serve(connection, connections):
    """Takes requests from a connection, as long as the server keeps it."""
    while True:
        record = receive(connection)
        if record is None:
            return
        kind, request_id, content = record
        if kind != BEGIN:
            continue
        keep = content[2] & 1
        streams = {PARAMS: b"", STDIN: b""}
        open_streams = {PARAMS, STDIN}
        while open_streams:
            record = receive(connection)
            if record is None:
                return
            kind, _, content = record
            if kind == ABORT:
                break
            if not content:
                open_streams.discard(kind)
            elif kind in streams:
                streams[kind] += content
        text, surplus = None, ""
        if not open_streams:
            params = pairs(streams[PARAMS])
            text = work(connection, connections, params, streams[STDIN])
            if params["QUERY_STRING"].startswith("surplus="):
                text, surplus = "response", params["QUERY_STRING"].partition("=")[2]
        if text is not None:
            send(connection, STDOUT, request_id, HEAD + text.encode())
            send(connection, STDOUT, request_id)
        send(connection, END, request_id, bytes(8))
        if surplus:
            # Until then, the server has only the response.
            while not os.path.exists(os.path.join(FOLDER, f"{surplus}.go")):
                time.sleep(0.02)
            try:
                send(connection, STDOUT, request_id, HEAD + surplus.encode())
                send(connection, END, request_id, bytes(8))
            finally:
                note(f"{surplus}.sent", "0")
        if not keep:
            return


def main():
    if len(sys.argv) > 1:
        note(sys.argv[1], str(os.getpid()))
    # Nothing that goes wrong keeps it longer.
    signal.alarm(120)
    listener = socket.socket(fileno=os.dup(0))
    listener.setblocking(True)
    note(f"{os.getpid()}.ready")
    connections = 0
    while True:
        connection, _ = listener.accept()
        connections += 1
        try:
            with connection:
                serve(connection, connections)
        except OSError:
            pass


main()
