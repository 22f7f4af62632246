"""A Bottle application: a part of the path, and a form."""

from wsgiref.validate import validator

import bottle

app = bottle.Bottle()


@app.get("/hello/<name>")
def hello(name):
    return f"Hello, {name}!"


@app.post("/form")
def form():
    return bottle.request.forms.getunicode("text", "")


application = validator(app)
