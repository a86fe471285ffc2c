"""From settings to configured logging; the dict itself is `dictconfig_logging.py`'s."""

from __future__ import annotations

import logging.config
import tempfile
from pathlib import Path
from typing import Any

from dictconfig_logging import LoggingOptions, Role, logging_config
from jobresults.errors import ConfigurationError
from jobresults.settings import Settings
from jobresults.telemetry.redaction import keep_secret


def configure_logging(settings: Settings, role: Role) -> None:
    """Configure this process's logging, once, at its start.

    Raises:
        ConfigurationError: the log directory cannot be written.
    """
    logging.config.dictConfig(logging_dict(settings, role))


def logging_dict(settings: Settings, role: Role) -> dict[str, Any]:
    """The process's dict, as gunicorn's `logconfig_dict` wants it; makes the directory it names.
    From now on the secrets of these settings are hidden in every line.

    Raises:
        ConfigurationError: the log directory cannot be written.
    """
    keep_secret(settings)
    chosen = settings.logging
    config = logging_config(
        role,
        LoggingOptions(
            level=chosen.level,
            format=settings.log_format,
            directory=chosen.directory,
            file_max_bytes=chosen.file_max_bytes,
            file_backups=chosen.file_backups,
            debug=chosen.debug,
        ),
    )
    for handler in config["handlers"].values():
        if "filename" in handler:
            _require_writable(Path(handler["filename"]).parent)
    return config


def _require_writable(directory: Path) -> None:
    """Fail now: a handler that cannot open its file complains at every line and stops nothing."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise ConfigurationError(
            f"logging.directory: cannot write {directory}: {error.strerror}"
        ) from error
