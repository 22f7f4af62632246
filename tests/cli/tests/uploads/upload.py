"""Sends uploads with a library: upload.py http.client|urllib|requests UPLOADS.

UPLOADS is JSON. For each upload this prints a line: the status code of the response, or the error.
"""

import http.client
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import requests

HEADERS = {"Content-Type": "text/plain"}

# How long to wait for a server, in seconds.
TIMEOUT = 30

CHUNK_SIZE = 64 * 1024


def with_http_client(method, url, content):
    url = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(url.netloc, timeout=TIMEOUT)
    connection.putrequest(method, url.path)
    for field in HEADERS.items():
        connection.putheader(*field)
    connection.endheaders()
    # The server has responded when the content begins to arrive.
    time.sleep(0.1)
    for start in range(0, len(content), CHUNK_SIZE):
        connection.send(content[start : start + CHUNK_SIZE])
    return connection.getresponse().status


def with_urllib(method, url, content):
    request = urllib.request.Request(url, content, HEADERS, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return response.status
    except urllib.error.HTTPError as error:
        return error.code


def with_requests(method, url, content):
    response = requests.request(method, url, data=content, headers=HEADERS, timeout=TIMEOUT)
    return response.status_code


send = {
    "http.client": with_http_client,
    "urllib": with_urllib,
    "requests": with_requests,
}[sys.argv[1]]
for upload in json.loads(sys.argv[2]):
    content = whole = bytes(upload["size"])
    if upload["framing"] == "Chunked":
        # urllib and requests send what has no length in chunks.
        starts = range(0, len(whole), CHUNK_SIZE)
        content = (whole[start : start + CHUNK_SIZE] for start in starts)
    try:
        print(send(upload["method"], upload["url"], content))
    except Exception as error:
        # The caller shows it, whatever it is.
        print(repr(error))
