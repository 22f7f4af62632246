"""Notes every POST in a file, and echoes content, so that a test can tell whether any was lost."""

import os


def application(environ, start_response):
    content = environ["wsgi.input"].read()
    if environ["REQUEST_METHOD"] == "POST":
        with open(os.environ["LEDGER"], "ab", buffering=0) as ledger:
            ledger.write(environ["PATH_INFO"].encode() + b"\n")
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return [environ["PATH_INFO"].encode(), content]
