"""A Flask application with one endpoint that does nothing."""

from flask import Flask

app = Flask(__name__)


@app.get("/")
def empty() -> str:
    """Do nothing."""
    return "{}"
