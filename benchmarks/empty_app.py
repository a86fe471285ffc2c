"""The yardstick for HTTP: a Flask application with one endpoint that does nothing."""

from gevent import monkey

monkey.patch_all()

from flask import Flask  # noqa: E402

app = Flask(__name__)


@app.get("/")
def empty() -> str:
    """Do nothing."""
    return "{}"
