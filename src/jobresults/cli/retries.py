"""What the client says of its retries, on stderr; apart, for `logging` takes long to import."""

from __future__ import annotations

import logging

import click


class _OnStderr(logging.Handler):
    """Writes to what is stderr by then: above the bars, while there are some."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(self.format(record), err=True)


def tell_retries() -> None:
    """From now on, unless there are log handlers already."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[_OnStderr()])
