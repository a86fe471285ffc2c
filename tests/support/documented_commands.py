"""Whether the commands of a document could be run: every program, subcommand, option, route and
name in them is held against what there is.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import click
import yaml
from werkzeug.routing import Map, Rule

from jobresults.cli.main import main
from jobresults.settings import Settings
from jobresults.web.app import ROUTES
from tests.support.console_sessions import commands_of, steps_in

ROOT = Path(__file__).parents[2]
_ID = "01948f2e-7a1b-7c3d-8e4f-0123456789ab"
# What a reader puts in.
STANDING_FOR = {
    "CALLBACK_ID": _ID,
    "COMPONENT": "web",
    "CUSTOMER": "acme",
    "DATABASE_URL": "postgresql:///jobresults",
    "FINGERPRINT": "9d1c0f2e9d1c0f2e",
    "JOBS": "https://jobs.example.com",
    "JOB_ID": _ID,
    "KEY": "jr_key",
    "KEY_ID": "0123456789ab",
    "NAMESPACE": "jobresults-production",
    "NODE": "node-1",
    "PID": "1",
    "POD": "web-0",
    "QUEUE": "default",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "REQUEST_ID": "r1",
    "SUBSCRIPTION_ID": _ID,
    "TASK": "score",
    "WORKER": "worker-1",
}
# Of Prometheus, Alertmanager and each process' own port.
_OTHER_PATHS = {"9090": {"/-/ready"}, "9093": {"/-/ready"}, "9100": {"/metrics", "/live", "/ready"}}
_PLAIN = {
    *(
        "base64",
        "cat",
        "createdb",
        "df",
        "dropdb",
        "du",
        "echo",
        "eval",
        "export",
        "grep",
        "od",
        "openssl",
    ),
    *("pg_dump", "pg_restore", "pip", "printf", "sed", "sleep", "tail", "tr"),
}
_KEYWORDS = {"do", "done", "else", "fi", "if", "then", "until", "while", "{", "}", "!"}
_ASSIGNMENT = re.compile(r"[A-Za-z_]+=")
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SCRIPT = re.compile(r"^```(?:sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_URLS = Map(
    [
        Rule(route.path, endpoint=number, methods=[route.method])
        for number, route in enumerate(ROUTES)
    ]
)


def commands_in(text: str) -> Iterator[list[str]]:
    """The words of each command in its `console` blocks; pipes are taken apart."""
    for block in _BLOCK.findall(text):
        for line in block.splitlines():
            assert line.startswith("$ "), f"not a command: {line}"
            lexer = shlex.shlex(_filled(line[2:]), posix=True, punctuation_chars="|")
            lexer.whitespace_split = True
            words: list[str] = []
            for word in lexer:
                if word != "|":
                    words.append(word)
                    continue
                yield words
                words = []
            yield words


def commands_of_page(text: str) -> Iterator[list[str]]:
    """The words of each command in its `console` sessions and `sh` scripts, without what holds
    them together: loops, pipes, redirections, assignments.
    """
    for step in steps_in(text):
        yield from _simple_commands(step.command)
    for script in _SCRIPT.findall(text):
        for command in commands_of(script):
            yield from _simple_commands(command)


def check(words: list[str]) -> None:
    """One command.

    Raises:
        AssertionError: something in it does not exist.
    """
    program, *arguments = words
    if program not in _PLAIN:
        assert program in _CHECKS, f"unknown program {program}"
        _CHECKS[program](arguments)


def statements(words: list[str]) -> list[str]:
    """What a psql command runs."""
    return [words[at + 1] for at, word in enumerate(words) if word == "-c"]


def setting_exists(path: str) -> bool:
    """Whether `section.key` is a setting."""
    model: object = Settings
    for name in path.split("."):
        fields = getattr(model, "model_fields", {})
        if name not in fields:
            return False
        model = fields[name].annotation
    return True


def _filled(line: str) -> str:
    return re.sub(r"\$([A-Z_]+)\b", lambda found: STANDING_FOR[found[1]], line)


def _simple_commands(command: str) -> Iterator[list[str]]:
    line = re.sub(
        r"\$([A-Z_]+)\b",
        lambda found: STANDING_FOR.get(found[1], found[0]),
        re.sub(r"\$\([^()]*\)", "SUBSTITUTED", command.replace("\\\n", " ")),
    )
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();<>|&")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if word and set(word) <= set("();|&"):
            if simple := _without_grammar(words):
                yield simple
            words = []
        else:
            words.append(word)


def _without_grammar(words: list[str]) -> list[str]:
    """A command alone; nothing of `for name in …` and of assignments."""
    while words and (words[0] in _KEYWORDS or _ASSIGNMENT.match(words[0])):
        words = words[1:]
    if words[:1] == ["for"]:
        return []
    at = next((at for at, word in enumerate(words) if word in ("<", ">", ">>")), len(words))
    return words[:at]


def _jobresults(arguments: list[str]) -> None:
    command: click.Command = main
    parent = None
    before = ["", *arguments]
    # What standard input would bring.
    brought = ["{}" if name == "--data" else _ID for name in before]
    arguments = [brought[at] if word == "-" else word for at, word in enumerate(arguments)]
    while isinstance(command, click.Group):
        name, *arguments = arguments
        parent = click.Context(command, parent=parent, info_name=name)
        found = command.get_command(parent, name)
        assert found is not None, f"no command {name}"
        command = found
    # What it asks for is not asked here.
    asks = {name for found in command.params for name in found.opts if getattr(found, "prompt", 0)}
    arguments = [*arguments, *(word for name in asks for word in (name, "answered"))]
    stdin, sys.stdin = sys.stdin, io.StringIO(f"{_ID}\n")  # for what `-` stands for
    try:
        command.make_context(command.name, arguments, parent=parent)
    except click.UsageError as error:
        raise AssertionError(error.format_message()) from error
    finally:
        sys.stdin = stdin


def _curl(arguments: list[str]) -> None:
    method = "POST" if "-d" in arguments else "GET"
    if "-X" in arguments:
        method = arguments[arguments.index("-X") + 1]
    (url,) = (urlsplit(word) for word in arguments if word.startswith("http"))
    if url.hostname == "127.0.0.1":
        assert url.path in _OTHER_PATHS[str(url.port)], url
        return
    number, _ = _URLS.bind("x").match(url.path, method=method)
    route = ROUTES[number]
    known = {*route.parameters, *(route.query.model_fields if route.query else ())}
    assert set(parse_qs(url.query)) <= known, url
    if route.query is not None:
        route.query.model_validate(
            {
                name: values if name in route.repeatable else values[0]
                for name, values in parse_qs(url.query).items()
            }
        )


def _kubectl(arguments: list[str]) -> None:
    own, after = arguments, None
    if "--" in arguments:
        at = arguments.index("--")
        own, after = arguments[:at], arguments[at + 1 :]
    objects = _objects()
    for kind, name in re.findall(r"\b(deployment|job|hpa)[s]?[/ ](\w+)", " ".join(own)):
        kind = "horizontalpodautoscaler" if kind == "hpa" else kind
        assert (kind, name) in objects, f"no {kind} {name}"
    for word in own:
        if word.startswith("app.kubernetes.io/component="):
            assert ("deployment", word.partition("=")[2]) in objects, word
    if "-k" in own:
        assert (ROOT / own[own.index("-k") + 1] / "kustomization.yaml").is_file()
    if "-p" in own:
        json.loads(own[own.index("-p") + 1])
    if after:
        check(after)


@cache
def _objects() -> set[tuple[str, str]]:
    """Kind and name of each Kubernetes object."""
    return {
        (found["kind"].lower(), found["metadata"]["name"])
        for path in (ROOT / "k8s").rglob("*.yaml")
        for found in yaml.safe_load_all(path.read_text())
        if found and "metadata" in found
    }


def _printenv(arguments: list[str]) -> None:
    (name,) = arguments
    path = name.removeprefix("JOBRESULTS_").removesuffix("_FILE").lower().replace("__", ".")
    assert setting_exists(path), name


def _psql(arguments: list[str]) -> None:
    assert statements(arguments), "nothing to run"  # the statements themselves are run by a test


def _redis_cli(arguments: list[str]) -> None:
    assert arguments[0] == "-u", "which Redis?"


def _promtool(arguments: list[str]) -> None:
    if arguments[:2] in (["check", "rules"], ["test", "rules"]):
        assert all(list(ROOT.glob(pattern)) for pattern in arguments[2:]), arguments
    else:
        assert arguments[:2] == ["query", "instant"], arguments


def _configured(arguments: list[str]) -> None:
    for word in arguments:
        if word.startswith("--config.file="):
            assert (ROOT / word.partition("=")[2]).is_file(), word


def _make(arguments: list[str]) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {word for word in arguments if "=" not in word} <= targets, arguments


def _docker(arguments: list[str]) -> None:
    if arguments[0] != "compose":
        assert arguments[0] in ("run", "build"), arguments
        return
    subcommand, *rest = arguments[1:]
    assert subcommand in ("up", "build", "run", "exec", "stop", "ps", "logs"), arguments
    services = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"]
    named = [word for word in rest if not word.startswith("-")]
    if subcommand in ("run", "exec"):
        assert named[0] in services, named
        if inside := rest[rest.index(named[0]) + 1 :]:
            check(inside)
    else:
        assert set(named) <= services.keys(), named


def _python(arguments: list[str]) -> None:
    if arguments[0] == "-c":
        compile(arguments[1], "documented", "exec")
    else:
        assert arguments[0] == "-m" or (ROOT / arguments[0]).is_file(), arguments


_CHECKS: dict[str, Callable[[list[str]], None]] = {
    "alertmanager": _configured,
    "curl": _curl,
    "docker": _docker,
    "jobresults": _jobresults,
    "kubectl": _kubectl,
    "make": _make,
    "printenv": _printenv,
    "prometheus": _configured,
    "promtool": _promtool,
    "psql": _psql,
    "python": _python,
    "python3": _python,
    "redis-cli": _redis_cli,
}
