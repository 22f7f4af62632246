"""A small site with members: register, log in, log out. Pages like these need a program.

Everything that must last is in a database: passwords only as hashes, and sessions, so that any
worker knows them and none is lost when a worker ends. Look at what never happens: a password is
stored, a visitor's text becomes markup, or a form of another site acts in a member's name.
"""

import hashlib
import hmac
import os
import secrets
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

DEFAULT_DATABASE = os.path.join(tempfile.gettempdir(), f"http-lab-members-{os.getuid()}.sqlite3")
DATABASE = os.environ.get("SITE_DATABASE", DEFAULT_DATABASE)

MAX_CONTENT = 10_000
MAX_LENGTH = 100  # of a name or a password, in characters
MIN_PASSWORD = 8
SESSION_SECONDS = 7 * 24 * 60 * 60
ITERATIONS = 600_000  # the more, the longer takes each guess of somebody who stole the database

TABLES = """
CREATE TABLE IF NOT EXISTS members (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, salt BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
    key TEXT PRIMARY KEY, csrf TEXT NOT NULL, expires REAL NOT NULL,
    member INTEGER REFERENCES members (id));
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} | HTTP Lab</title>
<link rel="icon" href="/media/icon.png" type="image/png">
<link rel="stylesheet" href="/style.css">
</head>
<body>
<header class="site-head"><nav aria-label="Site">
<a class="brand" href="/">HTTP Lab</a>
<a href="{base}/">Members</a>
<a href="{base}/register">Register</a>
<a href="{base}/login">Log in</a>
</nav></header>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""

FORM = """<form class="card" method="post">
<input type="hidden" name="csrf" value="{csrf}">
{message}<div class="field"><label for="name">Name</label>
<input id="name" name="name" value="{name}" autocomplete="username"></div>
<div class="field"><label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="{autocomplete}"></div>
<button type="submit">{title}</button>
</form>"""

LOGOUT = """<form method="post" action="{base}/logout">
<input type="hidden" name="csrf" value="{csrf}"><button type="submit">Log out</button></form>"""


class Refused(Exception):
    """The request gets this status and this explanation instead of a page."""


def connect():
    # Two workers may write at once: one waits for the other, up to the timeout.
    return sqlite3.connect(DATABASE, timeout=10)


def hash_password(password, salt):
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)


class Visit:
    """One request, with the session that its cookie names."""

    def __init__(self, environ, database):
        self.database = database
        self.environ = environ
        self.base = environ.get("SCRIPT_NAME", "")
        self.method = environ["REQUEST_METHOD"]
        self.path = environ.get("PATH_INFO", "")
        self.fields = []  # of the response's head
        self.csrf = self.member = self.name = None
        self.form = {}
        self.load_session(environ.get("HTTP_COOKIE", ""))

    def load_session(self, cookies):
        try:
            cookie = SimpleCookie(cookies).get("session")
        except CookieError:
            cookie = None
        self.key = session_key(cookie.value) if cookie else None
        row = self.database.execute(
            "SELECT csrf, member, name FROM sessions LEFT JOIN members ON members.id = member"
            " WHERE key = ? AND expires > ?",
            (self.key, time.time()),
        ).fetchone()
        if row:
            self.csrf, self.member, self.name = row

    def start_session(self, member=None):
        """Replaces the session. After a login, a token that somebody else knew is worth nothing."""
        token = secrets.token_urlsafe(32)
        self.csrf = secrets.token_urlsafe(32)
        now = time.time()
        with self.database:  # commits, or rolls back on an exception
            self.database.execute(
                "DELETE FROM sessions WHERE key = ? OR expires < ?", (self.key, now)
            )
            self.database.execute(
                "INSERT INTO sessions VALUES (?, ?, ?, ?)",
                (session_key(token), self.csrf, now + SESSION_SECONDS, member),
            )
        # HttpOnly: no script can read it. SameSite: no form of another site sends it.
        cookie = f"session={token}; Path={self.base}/; Max-Age={SESSION_SECONDS}"
        self.fields = [("Set-Cookie", cookie + "; HttpOnly; SameSite=Lax")]

    def read_form(self):
        """Reads the fields of a form, if it came from one of our own pages."""
        length = int(self.environ.get("CONTENT_LENGTH") or 0)
        if length > MAX_CONTENT:
            raise Refused("413 Content Too Large", "The form is too long.")
        content = self.environ["wsgi.input"].read(length).decode("utf-8", "replace")
        self.form = {name: values[0] for name, values in parse_qs(content).items()}
        # Another site can make a browser send a form here, but it can't read the token in ours.
        token = self.form.get("csrf", "").encode()
        if not self.csrf or not hmac.compare_digest(token, self.csrf.encode()):
            raise Refused("403 Forbidden", "The form is too old, or not ours. Load it again.")

    def page(self, title, body, status="200 OK"):
        text = PAGE.format(title=title, base=escape(self.base), body=body)
        return status, text

    def redirect(self):
        """After a POST: to load the page again doesn't send the form again."""
        self.fields.append(("Location", f"{self.base}/"))
        return "303 See Other", ""

    def home(self):
        if self.name is None:
            lead = '<p class="lead">Register or log in to see who is here.</p>'
            return self.page("Members", lead)
        rows = self.database.execute("SELECT name FROM members ORDER BY id DESC LIMIT 20")
        # Whoever calls themselves <script> is shown as such.
        names = "".join(f"<li>{escape(name)}</li>\n" for (name,) in rows)
        lead = f'<p class="lead">You are logged in. The newest members:</p>\n<ul>\n{names}</ul>\n'
        logout = LOGOUT.format(base=escape(self.base), csrf=self.csrf)
        return self.page(f"Welcome, {escape(self.name)}", lead + logout)

    def form_page(self, title, autocomplete, action):
        """Shows a form, or does what it asks. `action` returns a message if it can't."""
        message = None
        if self.method == "POST":
            name, password = self.form.get("name", "").strip(), self.form.get("password", "")
            if not name or not password:
                message = "Fill in both fields."
            elif max(len(name), len(password)) > MAX_LENGTH or not name.isprintable():
                message = f"Use at most {MAX_LENGTH} characters each, and only visible ones."
            else:
                message = action(name, password)
            if message is None:
                return self.redirect()
        elif self.csrf is None:
            self.start_session()
        body = FORM.format(
            csrf=self.csrf,
            message=f'<p class="outcome bad" role="alert">{message}</p>\n' if message else "",
            name=escape(self.form.get("name", "")),
            autocomplete=autocomplete,
            title=title,
        )
        return self.page(title, body, "422 Unprocessable Content" if message else "200 OK")

    def register(self, name, password):
        if len(password) < MIN_PASSWORD:
            return f"Use at least {MIN_PASSWORD} characters for the password."
        salt = secrets.token_bytes(16)  # equal passwords have different hashes
        row = (name, salt, hash_password(password, salt))
        try:
            with self.database:
                insert = "INSERT INTO members (name, salt, hash) VALUES (?, ?, ?)"
                member = self.database.execute(insert, row).lastrowid
        except sqlite3.IntegrityError:
            return "This name is taken. Choose another one."
        self.start_session(member)
        return None

    def log_in(self, name, password):
        query = "SELECT id, salt, hash FROM members WHERE name = ?"
        row = self.database.execute(query, (name,)).fetchone()
        # Without such a member it takes as long: the time doesn't show which names exist.
        member, salt, expected = row or (None, bytes(16), bytes(32))
        if not hmac.compare_digest(hash_password(password, salt), expected):
            return "The name or the password is wrong."
        self.start_session(member)
        return None

    def respond(self):
        if self.method not in ("GET", "HEAD", "POST"):
            self.fields = [("Allow", "GET, HEAD, POST")]
            raise Refused("405 Method Not Allowed", "Only GET, HEAD and POST work here.")
        if self.method == "POST":
            self.read_form()
        if self.path == "/register":
            return self.form_page("Register", "new-password", self.register)
        if self.path == "/login":
            return self.form_page("Log in", "current-password", self.log_in)
        if self.path == "/logout" and self.method == "POST":
            self.start_session()
            return self.redirect()
        if self.path == "":
            return self.redirect()
        if self.path == "/" and self.method != "POST":
            return self.home()
        raise Refused("404 Not Found", "There is no such page.")


def session_key(token):
    """What the database knows of a token: who reads the database can't use a session."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def application(environ, start_response):
    with closing(connect()) as database:
        visit = Visit(environ, database)
        try:
            status, text = visit.respond()
        except Refused as refused:
            status, reason = refused.args
            _, text = visit.page(status, f'<p class="lead">{reason}</p>')
    content = text.encode()
    visit.fields += [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(content))),
        ("Cache-Control", "no-store"),
    ]
    start_response(status, visit.fields)
    return [content]


try:
    # Only the owner may read it.
    os.close(os.open(DATABASE, os.O_CREAT | os.O_RDWR, 0o600))
    with closing(connect()) as connection:
        connection.executescript(TABLES)
except (OSError, sqlite3.Error) as error:
    sys.exit(f"Cannot use the database {DATABASE}: {error}. Set SITE_DATABASE to another file")
