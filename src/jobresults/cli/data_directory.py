"""Where `jobresults up` keeps its data: one option for all commands that look there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

_DEFAULT = ".jobresults"
_VARIABLE = "JOBRESULTS_DATA_DIR"

F = TypeVar("F", bound=Callable[..., Any])


def data_directory() -> Path:
    """As the environment says, else below the working directory."""
    return Path(os.environ.get(_VARIABLE) or _DEFAULT)


def data_dir_option(help_text: str) -> Callable[[F], F]:
    """`--data-dir`."""
    return click.option(
        "--data-dir",
        type=click.Path(file_okay=False, path_type=Path),
        default=_DEFAULT,
        envvar=_VARIABLE,
        show_default=True,
        help=help_text,
    )
