"""Reading the settings, all of which must be right: what processes start with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobresults.configuration.explanation import explain
from jobresults.configuration.sources import named_file, read_environment, read_yaml, tree_of
from jobresults.errors import ConfigurationError
from jobresults.settings import Settings


def load_settings(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings once, at a process's start.

    `path` is the YAML file; without it `$JOBRESULTS_CONFIG`, else `./config.yaml` if there is one.

    Raises:
        ConfigurationError: names each wrong key, where it stands, what is wrong and the nearest
            valid key. Never shows a value that may be a secret.
    """
    environ = os.environ if environ is None else environ
    file = named_file(path, environ)
    document = read_yaml(file)
    variables = list(read_environment(environ))
    try:
        return validated(tree_of(variables), document)
    except ValidationError as error:
        lines = [explain(problem, file, variables) for problem in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error


def validated(tree: Mapping[str, Any], document: Mapping[str, Any]) -> Settings:
    """Raises ValidationError. What is in `tree` goes before what is in `document`."""
    return Settings.model_validate(_merged(document, tree))


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Key by key where both have a section; else the one above counts.

    Not pydantic-settings: it would load asyncio, argparse and six clouds, and build all models
    twice, in order to do this.
    """
    merged = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], dict) and isinstance(above[key], dict):
            merged[key] = _merged(below[key], above[key])
    return merged
