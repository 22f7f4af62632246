"""The smallest useful application: a function that gets a request and returns the content.

A WSGI application gets two things: `environ`, a dictionary that describes the request, and
`start_response`, a function that takes the status and the header fields. It returns pieces of
bytes.
"""

from html import escape

SHOWN = [
    "REQUEST_METHOD",
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "REMOTE_ADDR",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
    "HTTP_USER_AGENT",
]

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hello | HTTP Lab</title>
<link rel="icon" href="/media/icon.png" type="image/png">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>Hello, {name}!</h1>
<p class="lead">A Python function wrote this page. This is a part of what the server passed to it:</p>
<table>
{rows}</table>
</main>
</body>
</html>
"""


def application(environ, start_response):
    rows = ""
    for name in SHOWN:
        # Each character is a byte of the request (PEP 3333): here they become text.
        value = environ.get(name, "").encode("latin-1").decode("utf-8", "replace")
        # A client chose these values. Escaped, they can't become markup.
        rows += f'<tr><th scope="row">{name}</th><td>{escape(value)}</td></tr>\n'
    page = PAGE.format(name=escape(environ.get("REMOTE_ADDR", "world")), rows=rows)
    content = page.encode("utf-8")
    start_response(
        "200 OK",
        [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(content))),
        ],
    )
    return [content]
