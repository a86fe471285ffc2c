"""The settings: whether they are right, whether their secrets are, and who can read those."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from pydantic import SecretStr

from jobresults.configuration import PREFIX, salvage_settings
from jobresults.doctor.findings import Finding, Subject, error, ok, warning
from jobresults.errors import ConfigurationError
from jobresults.jobs.catalog import load_catalog
from jobresults.settings import Settings
from jobresults.telemetry.redaction import holds_secrets

_LEAST_DIFFERENT_CHARACTERS = 10
_SAMPLES = ("change-me", "changeme", "replace-me", "example", "secret", "password")


def check(subject: Subject) -> Iterator[Finding]:
    """All but the tasks."""
    for problem in subject.problems:
        yield error("configuration", problem, "mend it: no process starts with it")
    if not subject.problems:
        yield ok("configuration", f"{_source(subject)}: every key is known and its value is right")
    yield from _production(subject.settings)
    yield from _keys(subject.settings)
    yield from _files(subject)


def check_tasks(subject: Subject) -> Iterator[Finding]:
    """Whether the modules with tasks can be imported."""
    chosen = subject.settings.tasks
    try:
        catalog = load_catalog(chosen.modules)
    except ConfigurationError as problem:
        yield error("tasks", problem.detail, "mend tasks.modules, or install what they need")
        return
    except Exception as problem:  # noqa: BLE001 - importing runs whatever code there is
        text = f"importing tasks.modules raised {type(problem).__name__}: {problem}"
        yield error("tasks", text, "mend the module")
        return
    names = sorted(task.name for task in catalog)
    yield ok("tasks", f"{len(names)} known: {', '.join(names)}")
    for key in ("ingest", "score"):
        if (name := getattr(chosen, key)) not in catalog:
            text = f"tasks.{key} names {name}, which no module defines"
            yield warning(f"tasks.{key}", text, f"set JOBRESULTS_TASKS__{key.upper()}")


def _source(subject: Subject) -> str:
    count = sum(name.startswith(PREFIX) for name in subject.environ)
    file = subject.config_file
    return f"{file or 'no configuration file'} and {count} environment variables"


def _production(settings: Settings) -> Iterator[Finding]:
    """What is right on one machine and wrong in production."""
    if settings.environment != "production":
        if settings.web.host not in ("127.0.0.1", "::1", "localhost"):
            text = f"environment is development, and web.host is {settings.web.host}"
            yield warning("configuration.environment", text, "set environment: production")
        return
    for key, is_set in (
        ("logging.debug", settings.logging.debug),
        ("callbacks.allow_http", settings.callbacks.allow_http),
    ):
        if is_set:
            yield warning(f"configuration.{key}", f"{key} is on in production", "turn it off")


def _keys(settings: Settings) -> Iterator[Finding]:
    keys = [(f"accounts.token_keys, {key.id}", key.secret) for key in settings.accounts.token_keys]
    if (signing_key := settings.alerts.links.signing_key) is not None:
        keys.append(("alerts.links.signing_key", signing_key))
    for source in settings.webhooks.sources:
        keys += [(f"webhooks.sources, {source.name}", secret) for secret in source.secrets]
    weak = [name for name, secret in keys if _is_weak(secret)]
    for name in weak:
        text = f"{name}: the secret can be guessed"
        yield error("configuration.keys", text, "make one with: openssl rand -hex 32")
    if not settings.accounts.token_keys:
        remedy = "set JOBRESULTS_ACCOUNTS__TOKEN_KEYS_FILE, unless API keys are all you use"
        wanted = settings.accounts.registration == "open"
        make = error if wanted else warning
        yield make("configuration.token_keys", "no accounts.token_keys: nobody can log in", remedy)
    elif not weak:
        yield ok("configuration.keys", f"{len(keys)} secrets that sign are strong")


def _is_weak(secret: SecretStr) -> bool:
    text = secret.get_secret_value()
    sample = any(word in text.lower() for word in _SAMPLES) and " " not in text
    return sample or len(text) < 16 or len(set(text)) < _LEAST_DIFFERENT_CHARACTERS


def _files(subject: Subject) -> Iterator[Finding]:
    """The files that hold secrets."""
    files = [
        (name, Path(path))
        for name, path in sorted(subject.environ.items())
        if name.startswith(PREFIX) and name.endswith("_FILE")
    ]
    file = subject.config_file
    if file is not None and file.is_file() and holds_secrets(salvage_settings(file, {})[0]):
        files.append(("the configuration file, which holds secrets", file))
    found = [finding for name, path in files for finding in _file(name, path)]
    yield from found
    if files and not found:
        text = f"{len(files)} with secrets, closed to others: {', '.join(n for n, _ in files)}"
        yield ok("configuration.files", text)


def _file(name: str, path: Path) -> Iterator[Finding]:
    try:
        mode = path.stat().st_mode
        directory_mode = path.resolve().parent.stat().st_mode
    except OSError:
        return  # told as a problem of the configuration
    what = f"{path} ({name})"
    if mode & stat.S_IWOTH:
        text = f"everybody may write to {what}"
        yield error("configuration.files", text, f"chmod o-rwx {path}")
    elif mode & stat.S_IROTH and directory_mode & stat.S_IXOTH:
        text = f"everybody may read {what}"
        yield warning("configuration.files", text, f"chmod o-rwx {path}")
