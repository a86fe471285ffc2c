"""`jobresults login`, `logout`, `whoami`: whose token later commands bring along."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import click

from jobresults.cli.connection import (
    LOCAL_HOSTS,
    chosen_service,
    connected,
    failures_told,
    host_of,
)
from jobresults.cli.tables import Column, Output, output_option, print_rows

if TYPE_CHECKING:
    from jobresults.client.transport import Transport

_TIMEOUT_SECONDS = 30.0
_WHO = (
    Column("service"),
    Column("client"),
    Column("scopes"),
    Column("customers", text=lambda names: "all" if names is None else ", ".join(names)),
    Column("token_from", "token from"),
    Column("expires_at", "until"),
)


@click.command()
@click.argument("url", required=False)
@click.option("--name", help="Who you are.  [default: asked for]")
@click.option(
    "--with-token",
    is_flag=True,
    help="Read an API key or a token from standard input, instead of asking for name and password.",
)
def login(url: str | None, name: str | None, with_token: bool) -> None:
    """Log in to a service: the one at URL, or that commands call.

    The token is kept in a file that only you can read, and from now on brought to this service and
    to no other.
    """
    from jobresults.cli.credential_file import (
        Login,
        changed_credentials,
        location,
        read_credentials,
    )

    read_credentials()  # refused before anyone types a password
    with failures_told():
        url = _chosen_url(url)
        token, expires_at = (_given_token(), None) if with_token else _exchanged(url, name)
        with _calling(url, token) as transport:
            who = transport.get("/v1/whoami").body["client"]
        with changed_credentials() as credentials:
            credentials.add(url, Login(token, who, expires_at))
        until = f" until {expires_at}" if expires_at else ""
        click.echo(f"Logged in to {url} as {who}{until}; kept in {location()}", err=True)
        _warn_if_unused(url)


@click.command()
@click.argument("url", required=False)
def logout(url: str | None) -> None:
    """Forget a login: at URL, or at the service that commands call.

    A person's token is revoked as well; an API key is as good as before.
    """
    from jobresults.cli.credential_file import changed_credentials, read_credentials
    from jobresults.client import AuthenticationFailed, ClientError

    with failures_told():
        url = _chosen_url(url)
        known = read_credentials()
        kept = known.at(url)
        if kept is None:
            others = ", ".join(known.logins) or "none"
            raise click.ClickException(f"there is no login at {url}; logins: {others}")
        with changed_credentials() as credentials:
            credentials.remove(url)
        if kept.token.startswith("jr_"):
            click.echo(f"Forgot the API key for {url}; it is as good as before.", err=True)
            return
        try:
            with _calling(url, kept.token) as transport:
                transport.post("/logout")
        except AuthenticationFailed:
            pass  # it was over
        except ClientError as error:
            error.add_note(f"forgotten here, yet not revoked: good until {kept.expires_at}")
            raise
        click.echo(f"Logged out of {url}.", err=True)


@click.command()
@output_option
def whoami(output: Output) -> None:
    """Print which service commands call, and as whom."""
    from jobresults.cli.credential_file import read_credentials

    with failures_told():
        service = chosen_service()
        with connected(service) as client:
            who = client.whoami()
        login = read_credentials().at(service.url) if service.source == "login" else None
    row = {
        "service": service.url,
        **who,
        "token_from": service.source,
        "expires_at": login and login.expires_at,
    }
    print_rows([row], _WHO, output)


def _chosen_url(url: str | None) -> str:
    """Raises ClientError."""
    from jobresults.client import credentials

    return credentials.base_url(url) if url else chosen_service().url


def _given_token() -> str:
    """Raises ClientError: it is none."""
    from jobresults.client import ClientError, credentials

    if sys.stdin.isatty():
        text = click.prompt("Token", hide_input=True, err=True)
    else:
        text = sys.stdin.readline()
    token = credentials.token(text) if text.strip() else None  # not that of the environment
    if token is None:
        raise ClientError("standard input holds no token")
    return token


def _exchanged(url: str, name: str | None) -> tuple[str, str]:
    """A token for name and password, and when it expires.

    Raises:
        ClientError
    """
    from datetime import UTC, datetime, timedelta

    from jobresults.client import ClientError, JobNotFound
    from jobresults.client.transport import encode

    if url.startswith("http:") and host_of(url) not in LOCAL_HOSTS:
        click.echo(f"Warning: {url} is not https: others may read the password.", err=True)
    name = name or click.prompt("Name", err=True)
    password = click.prompt("Password", hide_input=True, err=True)
    try:
        with _calling(url, None) as transport:
            answer = transport.post("/login", encode({"name": name, "password": password}))
    except JobNotFound as error:
        detail = f"{error.detail}; with an API key: jobresults login --with-token"
        raise ClientError(detail, error.problem) from error
    ends = datetime.now(UTC) + timedelta(seconds=answer.body["expires_in"])
    return answer.body["token"], ends.isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def _calling(url: str, token: str | None) -> Iterator[Transport]:
    """With this token or with none: a Client would take that of the environment."""
    from jobresults.client.transport import Transport

    with closing(Transport(url, token, _TIMEOUT_SECONDS, None)) as transport:
        yield transport


def _warn_if_unused(url: str) -> None:
    """Commands may be told to call another service, or to bring another token."""
    from jobresults.cli.credential_file import service_name

    chosen = chosen_service()
    if service_name(chosen.url) != service_name(url):
        words = f"Commands here call {chosen.url}; for this one: jobresults --url {url} …"
        click.echo(words, err=True)
    elif chosen.source == "environment":
        click.echo("The token of the environment goes before this login; unset it.", err=True)
