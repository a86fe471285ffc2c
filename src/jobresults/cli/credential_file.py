"""What `jobresults login` keeps: a token for each service, in a file that nobody else can read."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Login:
    """A token of one service. `expires_at`: RFC 3339; None: not known here, or never."""

    token: str = field(repr=False)
    name: str | None = None
    expires_at: str | None = None


@dataclass
class Credentials:
    """All logins there are, and which service is called if nothing else names one."""

    default: str | None = None
    logins: dict[str, Login] = field(default_factory=dict)

    def at(self, url: str) -> Login | None:
        """The login at that very service."""
        return self.logins.get(service_name(url))

    def add(self, url: str, login: Login) -> None:
        """Keep it, and call this service from now on."""
        self.default = service_name(url)
        self.logins[self.default] = login

    def remove(self, url: str) -> bool:
        """Forget a login. Returns whether there was one."""
        name = service_name(url)
        if self.default == name:
            self.default = None
        return self.logins.pop(name, None) is not None


class CredentialFileRefused(click.ClickException):
    """The file cannot be used as it is."""

    exit_code = 4


def location() -> Path:
    """Below `$XDG_CONFIG_HOME`, if that is absolute as it has to be, else `~/.config`."""
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    directory = named if named.is_absolute() else Path.home() / ".config"
    return directory / "jobresults" / "credentials.json"


def service_name(url: str) -> str:
    """One spelling for all URLs of a service."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    is_usual = parts.port in (None, _DEFAULT_PORTS.get(parts.scheme))
    port = "" if is_usual else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def read_credentials() -> Credentials:
    """What the file holds; nothing if there is none.

    Raises:
        CredentialFileRefused: others can read it, or it is damaged.
    """
    file = location()
    try:
        with file.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & 0o077:
                raise CredentialFileRefused(
                    f"{file}: others can read it (mode {mode:04o}); "
                    f"chmod 600 it, and log in anew, for its tokens may be known"
                )
            return _parsed(json.load(stream))
    except FileNotFoundError:
        return Credentials()
    except OSError as error:
        raise CredentialFileRefused(f"{file}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        raise CredentialFileRefused(
            f"{file}: not what `jobresults login` writes; remove it and log in anew"
        ) from error


@contextmanager
def changed_credentials() -> Iterator[Credentials]:
    """What the file holds, to be changed in the block and written at its end, whole or not at all.
    Whoever else changes it waits.

    Raises:
        CredentialFileRefused
    """
    directory = location().parent
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        lock = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise CredentialFileRefused(f"{directory}: cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        credentials = read_credentials()
        yield credentials
        _write(credentials)
    finally:
        os.close(lock)


def _write(credentials: Credentials) -> None:
    file = location()
    document = {
        "default": credentials.default,
        "services": {name: asdict(login) for name, login in credentials.logins.items()},
    }
    try:
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".credentials-")  # 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(document, stream, indent=2)
                stream.write("\n")
                stream.flush()
                os.fsync(descriptor)
            Path(temporary).replace(file)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise CredentialFileRefused(f"{file}: cannot be written: {error.strerror}") from error


def _parsed(document: Any) -> Credentials:
    logins = {
        str(name): Login(
            token=_text(entry["token"]),
            name=entry.get("name"),
            expires_at=entry.get("expires_at"),
        )
        for name, entry in document["services"].items()
    }
    default = document.get("default")
    return Credentials(None if default is None else _text(default), logins)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("text is wanted")
    return value
