"""The dict of every process, and configuring with it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from logging.config import BaseConfigurator
from pathlib import Path
from typing import Any, get_args

import jiter
import pytest

from dictconfig_logging import ALERT_HANDLER, DEFAULTS, FORMATTERS, Role, logging_config
from jobresults.errors import ConfigurationError
from jobresults.settings import LoggingSettings, Settings
from jobresults.telemetry.logging_setup import logging_dict

RunPython = Callable[..., subprocess.CompletedProcess[str]]
ROLES: tuple[Role, ...] = get_args(Role)
SERVERS: tuple[Role, ...] = ("web", "worker", "maintenance")

CONFIGURE_AND_LOG = """
import logging, sys
from jobresults.settings import LoggingSettings, Settings
from jobresults.telemetry.logging_context import bound
from jobresults.telemetry.logging_setup import configure_logging

early = logging.getLogger("configured.earlier")
role, directory, level, debug = sys.argv[1:]
chosen = LoggingSettings(directory=directory or None, level=level, debug=debug == "debug")
configure_logging(Settings(environment="production", logging=chosen), role)
for name in ("jobresults.web", "gunicorn.error", "rq.worker", "configured.earlier", "urllib3"):
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        with bound(request_id="r1", job_id="j1"):
            logging.getLogger(name).log(level, "a\\nb %s", "\\x1b\\ud800")
logging.getLogger("gunicorn.access").info("access")
try:
    {}["missing"]
except KeyError:
    logging.getLogger("jobresults").exception("boom")
"""


def parsed(lines: str) -> list[tuple[str, str]]:
    """(logger, level) of each line, which must be strict JSON and bear all members."""
    records = [jiter.from_json(line.encode()) for line in lines.splitlines()]
    assert all({"request_id", "job_id", "pod", "version"} <= record.keys() for record in records)
    return [(record["logger"], record["level"]) for record in records]


def classes_named(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (node[key] for key in ("()", "class") if key in node)
        for child in node.values():
            yield from classes_named(child)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("log_format", FORMATTERS)
def test_every_class_the_dict_names_exists(role: Role, log_format: Any) -> None:
    config = logging_config(role, {"format": log_format, "directory": "logs"})

    resolved = {BaseConfigurator({}).resolve(name) for name in classes_named(config)}

    assert all(
        issubclass(it, (logging.Handler, logging.Filter, logging.Formatter)) for it in resolved
    )


def test_the_dict_imports_the_standard_library_only(run_python: RunPython) -> None:
    code = (
        "import sys; before = set(sys.modules); import dictconfig_logging as d; "
        "d.logging_config('web', {'directory': 'logs'}); "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )

    imported = set(run_python(code).stdout.split())

    assert imported <= {"dictconfig_logging", *sys.stdlib_module_names}


def test_defaults_agree_with_the_settings() -> None:
    settings = LoggingSettings().model_dump()

    assert {**settings, "format": Settings().log_format} == DEFAULTS


@pytest.mark.parametrize("role", ROLES)
def test_email_and_slack_are_routes_that_only_count(role: Role) -> None:
    config = logging_config(role)

    for route in ("email", "slack"):
        assert config["handlers"][route]["()"] == ALERT_HANDLER
        assert route in config["root"]["handlers"]


def test_rq_worker_and_access_lines_stay_out_of_the_alert_routes() -> None:
    loggers = logging_config("worker", {"directory": "logs"})["loggers"]

    for name in ("rq.worker", "gunicorn.access"):
        assert loggers[name]["propagate"] is False
        assert not {"email", "slack"} & set(loggers[name]["handlers"])


def test_only_servers_write_files_each_role_in_its_own_directory() -> None:
    def files(role: Role, directory: str | None) -> set[str]:
        handlers = logging_config(role, {"directory": directory})["handlers"].values()
        return {handler["filename"] for handler in handlers if "filename" in handler}

    assert {role: files(role, "logs") for role in ROLES} == {
        "web": {"logs/web/error.log", "logs/web/access.log"},
        "worker": {"logs/worker/error.log"},
        "maintenance": {"logs/maintenance/error.log"},
        "cli": set(),
    }
    assert not any(files(role, None) for role in ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_debug_means_the_console_alone_at_debug(role: Role) -> None:
    config = logging_config(role, {"debug": True, "directory": "logs", "level": "error"})

    assert set(config["handlers"]) == {"console"}
    for logger in (config["root"], *config["loggers"].values()):
        assert set(logger.get("handlers", ())) <= {"console"}
    levels = {name: logger["level"] for name, logger in config["loggers"].items()}
    assert levels.pop("gunicorn.access") == "INFO"
    assert set(levels.values()) == {config["root"]["level"]} == {"DEBUG"}


def test_unknown_role_option_and_format_are_refused_by_name() -> None:
    bad_option: Any = {"directroy": "logs"}
    bad_format: Any = {"format": "xml"}
    bad_role: Any = "webb"

    with pytest.raises(ValueError, match=r"unknown role 'webb'; known: web, worker"):
        logging_config(bad_role)
    with pytest.raises(ValueError, match=r"unknown option 'directroy'; known: level, format"):
        logging_config("web", bad_option)
    with pytest.raises(ValueError, match=r"unknown format 'xml'; known: text, json"):
        logging_config("web", bad_format)


@pytest.mark.parametrize("role", SERVERS)
def test_every_line_of_a_server_is_json_on_stdout_and_in_its_file(
    role: Role, tmp_path: Path, run_python: RunPython
) -> None:
    done = run_python(CONFIGURE_AND_LOG, role, str(tmp_path), "info", "")
    console = parsed(done.stdout)

    assert done.stderr == ""
    from_info_up = [
        (name, level)
        for name in ("jobresults.web", "gunicorn.error", "configured.earlier", "urllib3")
        for level in ("INFO", "WARNING", "ERROR")
    ]
    worker = [("rq.worker", "WARNING"), ("rq.worker", "ERROR")]
    access = [("gunicorn.access", "INFO")]
    boom = [("jobresults", "ERROR")]
    assert sorted(console) == sorted(from_info_up + worker + access + boom)
    assert parsed((tmp_path / role / "error.log").read_text()) == from_info_up + boom
    if role == "web":
        assert parsed((tmp_path / role / "access.log").read_text()) == access


def test_level_debug_spares_the_libraries_and_debug_does_not(run_python: RunPython) -> None:
    def at_debug(level: str, debug: str) -> set[str]:
        lines = parsed(run_python(CONFIGURE_AND_LOG, "web", "", level, debug).stdout)
        return {name for name, level in lines if level == "DEBUG"}

    assert at_debug("debug", "") == {"jobresults.web"}
    assert at_debug("error", "debug") == {
        "jobresults.web",
        "gunicorn.error",
        "rq.worker",
        "configured.earlier",
        "urllib3",
    }


def test_a_command_keeps_its_stdout_for_its_answer(tmp_path: Path, run_python: RunPython) -> None:
    done = run_python(CONFIGURE_AND_LOG, "cli", str(tmp_path), "info", "")

    assert done.stdout == ""
    assert ("jobresults", "ERROR") in parsed(done.stderr)
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_directory_stops_the_start_by_name(tmp_path: Path) -> None:
    in_the_way = tmp_path / "logs"
    in_the_way.touch()
    settings = Settings(logging=LoggingSettings(directory=str(in_the_way)))

    with pytest.raises(ConfigurationError, match=r"logging\.directory: cannot write .*: Not a dir"):
        logging_dict(settings, "web")


@pytest.mark.parametrize(
    ("environment", "chosen", "used"),
    [
        ("development", "auto", "text"),
        ("production", "auto", "json"),
        ("production", "text", "text"),
        ("development", "json", "json"),
    ],
)
def test_the_format_follows_the_environment_unless_chosen(
    environment: Any, chosen: Any, used: str
) -> None:
    settings = Settings(environment=environment, logging=LoggingSettings(format=chosen))

    config = logging_dict(settings, "web")

    assert json.loads(json.dumps(config)) == config
    assert list(config["formatters"]) == [used]
    assert config["handlers"]["console"]["formatter"] == used
