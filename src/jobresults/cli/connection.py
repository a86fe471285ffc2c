"""Which service a command calls and as whom, and what its failures end with.

Exit codes: 0 done, 1 error, 2 wrong usage, 3 job failed or canceled, 4 not authenticated or not
allowed, 5 not ended in time (the job goes on), 6 unknown or expired, 7 service out of reach,
130 Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import click

from jobresults.cli.data_directory import data_directory

if TYPE_CHECKING:
    from jobresults.client import Client

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Service:
    """A service, and the token that it is called with: of the environment, of `jobresults login`,
    of `jobresults up` in this directory, or none.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    source: Literal["environment", "login", "up", "nowhere"] = "nowhere"

    @property
    def advice(self) -> str:
        """What helps if the service does not accept the token."""
        log_in = f"jobresults login {self.url}"
        return {
            "environment": "the token that the environment gives is not accepted; mend or unset "
            "JOBRESULTS_TOKEN or JOBRESULTS_TOKEN_FILE",
            "login": f"the login is over; again: {log_in}",
            "up": f"the key of `jobresults up` here is not known there; {log_in}",
            "nowhere": f"{log_in}, or set JOBRESULTS_TOKEN",
        }[self.source]


def chosen_service(named: str | None = None) -> Service:
    """The service named, else the one that JOBRESULTS_URL names, else what `jobresults up` runs in
    this directory, else the one of the newest login; with a token of the environment, else of a
    login at this very service, else the key of `jobresults up`, which never leaves this machine.

    Raises:
        ClientError: URL or token cannot be used.
        CredentialFileRefused
    """
    from jobresults.cli.credential_file import read_credentials
    from jobresults.client import credentials

    announced = _announced()
    named = named or os.environ.get("JOBRESULTS_URL") or announced
    url = credentials.base_url(named or read_credentials().default)
    if os.environ.get("JOBRESULTS_TOKEN") or os.environ.get("JOBRESULTS_TOKEN_FILE"):
        return Service(url, credentials.token(None), "environment")
    login = read_credentials().at(url)
    if login is not None:
        return Service(url, login.token, "login")
    key = _local("api-key") if url == announced or host_of(url) in LOCAL_HOSTS else None
    return Service(url, key, "up" if key else "nowhere")


@contextmanager
def connected(service: Service | None = None) -> Iterator[Client]:
    """A client of the chosen service; its failures end the command with their exit codes."""
    from jobresults.client import AuthenticationFailed, Client

    with failures_told():
        service = service or chosen_service()
        with Client(service.url, service.token) as client:
            try:
                yield client
            except AuthenticationFailed as error:
                if error.status == 401:
                    error.add_note(service.advice)
                raise


@contextmanager
def failures_told() -> Iterator[None]:
    """A failure of a call in the block is told on stderr, with its notes, and ends the command."""
    from jobresults.cli.retries import tell_retries
    from jobresults.client import ClientError

    tell_retries()
    try:
        yield
    except ClientError as error:
        click.echo("\n".join([f"Error: {error}", *getattr(error, "__notes__", ())]), err=True)
        sys.exit(exit_code(error))


def exit_code(error: Exception) -> int:
    """What a command ends with that fails so."""
    from jobresults import client

    codes: dict[type[Exception], int] = {
        client.JobFailed: 3,
        client.JobCanceled: 3,
        client.AuthenticationFailed: 4,
        client.JobTimeout: 5,
        client.JobNotFound: 6,
        client.JobExpired: 6,
        client.ServiceUnavailable: 7,
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 1)


def host_of(url: str) -> str:
    """Its host's name or address."""
    from urllib.parse import urlsplit

    return urlsplit(url).hostname or ""


def _announced() -> str | None:
    """Where `jobresults up` serves from this directory, if that is this machine: directories can
    come from anybody, and must not lead a token elsewhere.
    """
    url = _local("url")
    try:
        return url if url and _is_of_this_machine(host_of(url)) else None
    except ValueError:
        return None


def _is_of_this_machine(host: str) -> bool:
    if host in LOCAL_HOSTS:
        return True
    import socket

    try:
        family = socket.getaddrinfo(host, 0, flags=socket.AI_NUMERICHOST)[0][0]
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _local(name: str) -> str | None:
    """What `jobresults up` wrote into a file of its data directory."""
    try:
        return (data_directory() / name).read_text(encoding="utf-8").strip() or None
    except OSError:
        return None
