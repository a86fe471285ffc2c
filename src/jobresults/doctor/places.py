"""Addresses as they may be shown, and whether something answers there."""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

from pydantic import SecretStr


class Unreached(Exception):
    """Nothing answers there; `remedy` says what to look at."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.remedy = remedy


def shown(url: SecretStr | str) -> str:
    """A URL without its user, password, path and query, any of which may be secret."""
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return "a URL that cannot be read"
    place = f"{host}{port}" or parts.path  # of a socket or a file
    return f"{parts.scheme}://{place}"


def reach_url(url: SecretStr | str, seconds: float) -> str:
    """Look the host up, connect, and for https make the handshake; nothing is sent. Returns what
    was reached.

    Raises:
        Unreached
    """
    text = url.get_secret_value() if isinstance(url, SecretStr) else url
    try:
        parts = urlsplit(text)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise Unreached("a URL that cannot be read", "mend it") from None
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise Unreached(f"{shown(text)} is no http URL", "mend it")
    return reach(parts.hostname, port, tls=parts.scheme == "https", seconds=seconds)


def reach(host: str, port: int, *, tls: bool, seconds: float) -> str:
    """The same for a host and a port.

    Raises:
        Unreached
    """
    where, began = f"{host}:{port}", time.monotonic()
    try:
        with socket.create_connection((host, port), timeout=seconds) as connection:
            if tls:
                context = ssl.create_default_context()
                with context.wrap_socket(connection, server_hostname=host) as secured:
                    how = f"by {secured.version()}"
            else:
                how = "without TLS"
    except socket.gaierror as problem:
        remedy = "mend the name, or this machine's name server"
        raise Unreached(f"{where}: the name is unknown ({problem.strerror})", remedy) from None
    except ssl.SSLCertVerificationError as problem:
        text = f"{where}: its certificate is not valid: {problem.verify_message}"
        raise Unreached(text, "trust its authority here (SSL_CERT_FILE), or mend it") from None
    except ssl.SSLError as problem:
        text = f"{where}: no TLS: {problem.reason or problem}"
        raise Unreached(text, "mend the port, or the scheme") from None
    except OSError as problem:
        text = f"{where}: {problem.strerror or problem}"
        raise Unreached(text, "let this machine connect there, or mend the address") from None
    return f"{where} is reached in {(time.monotonic() - began) * 1000:.0f} ms, {how}"
