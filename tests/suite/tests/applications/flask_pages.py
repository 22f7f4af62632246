"""A Flask application: a session, an upload, and a response that comes piece by piece."""

import time

from flask import Flask, Response, redirect, request, session
from webtest import lint
from wsgiref.validate import validator

app = Flask(__name__)
app.secret_key = "only for this test"


@app.get("/count")
def count():
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


@app.post("/upload")
def upload():
    return str(len(request.files["file"].read()))


@app.get("/pieces")
def pieces():
    def lines():
        for number in range(3):
            yield f"{number}\n"
            time.sleep(0.3)

    return Response(lines(), mimetype="text/plain")


@app.get("/away")
def away():
    return redirect("/flask/count")


# Both write to standard error or fail if the server breaks a rule of PEP 3333.
application = validator(lint.middleware(app))
