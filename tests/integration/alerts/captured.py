"""Loaded as a module of tasks by processes under test: keeps the records that become alerts."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from jobresults import task

FILE_VARIABLE = "TEST_ALERT_RECORDS"
_MEMBERS = ("alert_key", "alert_title", "job_id", "task", "queue", "customer", "client", "attempt")


class Capture(logging.Handler):
    """Appends to a file, whole lines at once."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.ERROR and not getattr(record, "alert", False):
            return
        members = {name: getattr(record, name, None) for name in _MEMBERS}
        line = {"level": record.levelname, "message": record.getMessage(), **members}
        file = os.open(os.environ[FILE_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, json.dumps(line).encode() + b"\n")
        os.close(file)


def captured(file: Path) -> list[dict[str, Any]]:
    """What was kept so far."""
    text = file.read_text() if file.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


@task(name="watched")
def watched() -> None:
    """A module of tasks has one."""


if FILE_VARIABLE in os.environ:
    logging.getLogger().addHandler(Capture())
