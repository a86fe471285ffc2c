"""Where the service is and who calls it: as the program says, else as the environment does."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

from jobresults.client.exceptions import ClientError

_DEFAULT_URL = "http://127.0.0.1:8000"


def base_url(given: str | None) -> str:
    """The argument, else JOBRESULTS_URL, else the local service; without a slash at its end.

    Raises:
        ClientError: it is no http or https URL, or holds more than scheme, host, port and path.
    """
    url = given or os.environ.get("JOBRESULTS_URL") or _DEFAULT_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        carries_secrets = parts.username is not None or parts.password is not None
    except ValueError:
        usable = carries_secrets = False
    if carries_secrets:  # untold: messages and logs name the URL
        raise ClientError("the base URL holds a user name or password; the token says who calls")
    if not usable or parts.query or parts.fragment:
        raise ClientError(f"{url!r} is not the URL of a service, like {_DEFAULT_URL}")
    return url.rstrip("/")


def token(given: str | None) -> str | None:
    """The argument, else JOBRESULTS_TOKEN, else what the file JOBRESULTS_TOKEN_FILE holds.

    Raises:
        ClientError: the file cannot be read, or no HTTP header can carry the token.
    """
    found = (given or os.environ.get("JOBRESULTS_TOKEN") or _from_file() or "").strip()
    if not all("!" <= character <= "~" for character in found):
        raise ClientError("the token has characters that no HTTP header can carry")
    return found or None


def _from_file() -> str | None:
    path = os.environ.get("JOBRESULTS_TOKEN_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ClientError(f"JOBRESULTS_TOKEN_FILE: cannot read {path}: {error}") from error
