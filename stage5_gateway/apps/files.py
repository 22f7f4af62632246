"""Sends files: the one that PATH_INFO names, below the document root.

A server sends files faster. This application shows what a server has to get right: which names
stay below the root, what is there, and with which status a response says so.
"""

import mimetypes
import os
import stat

START_PAGE = "simple_navbar.html"


def application(environ, start_response):
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        fields = [("Allow", "GET, HEAD")]
        return page(start_response, "405 Method Not Allowed", "Use GET or HEAD.", fields)
    file = open_file(environ["DOCUMENT_ROOT"], environ.get("PATH_INFO", ""))
    if file is None:
        # A page that says "not found" isn't enough: programs read the status.
        return page(start_response, "404 Not Found", "There is no such file.")
    media_type, encoding = mimetypes.guess_type(file.name)
    if media_type is None or encoding:
        media_type = "application/octet-stream"
    elif media_type.startswith("text/"):
        media_type += "; charset=utf-8"
    length = os.fstat(file.fileno()).st_size
    start_response("200 OK", [("Content-Type", media_type), ("Content-Length", str(length))])
    if environ["REQUEST_METHOD"] == "HEAD":
        file.close()
        return []
    # Sends piece by piece, whatever the size. The server closes the file.
    return environ["wsgi.file_wrapper"](file, 64 * 1024)


def open_file(root, path_info):
    """The open file that a path names, or None."""
    # Each character is a byte of the path (PEP 3333). File names are bytes, too.
    path = os.fsdecode(path_info.encode("latin-1")).lstrip("/") or START_PAGE
    root = os.path.realpath(root)
    try:
        # Where a name leads shows only after all links and `..` have been followed.
        name = os.path.realpath(os.path.join(root, path))
        if os.path.commonpath([root, name]) != root:
            return None
        file = open(name, "rb", opener=open_at_once)
    except (OSError, ValueError):  # there is no such file, or a NUL in its name
        return None
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:  # a file that others may read, as in stage 4
        return file
    file.close()
    return None


def open_at_once(name, flags):
    """Opens a file. A named pipe would wait for a writer without the flag."""
    return os.open(name, flags | os.O_NONBLOCK)


def page(start_response, status, text, fields=()):
    content = f"{status}\n\n{text}\n".encode()
    own = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(content)))]
    start_response(status, own + list(fields))
    return [content]
