"""Whose word about callers is taken."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jobresults.settings import WebSettings
from jobresults.web.proxies import TrustedProxies


def seen(peer: str, forwarded: str, **settings: Any) -> tuple[str, str]:
    """The caller's address and scheme as the application is told."""
    told: list[tuple[str, str]] = []

    def application(environ: dict[str, Any], _: Any) -> list[bytes]:
        told.append((environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]))
        return []

    environ = {
        "REMOTE_ADDR": peer,
        "wsgi.url_scheme": "http",
        "HTTP_X_FORWARDED_FOR": forwarded,
        "HTTP_X_FORWARDED_PROTO": "https",
    }
    TrustedProxies(application, WebSettings(**settings)).serve(environ, None)
    return told[0]


@pytest.mark.parametrize("peer", ["10.1.2.3", "fd00::7"])
def test_a_configured_proxy_is_believed(peer: str) -> None:
    trusted = {"forwarded_allow_ips": "10.1.0.0/16, fd00::/8", "trusted_proxies": 1}
    assert seen(peer, "203.0.113.9", **trusted) == ("203.0.113.9", "https")


@pytest.mark.parametrize("peer", ["10.2.0.1", "::1", "", "unix"])
def test_whoever_else_connects_is_not(peer: str) -> None:
    trusted = {"forwarded_allow_ips": "10.1.0.0/16", "trusted_proxies": 1}
    assert seen(peer, "203.0.113.9", **trusted) == (peer, "http")


def test_only_as_many_addresses_count_as_there_are_proxies() -> None:
    trusted = {"forwarded_allow_ips": "10.0.0.1", "trusted_proxies": 2}
    assert seen("10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", **trusted)[0] == "203.0.113.9"


@pytest.mark.parametrize("text", ["*", "proxy.internal", "10.0.0.1/8", "10.0.0.1;10.0.0.2"])
def test_proxies_are_named_exactly(text: str) -> None:
    with pytest.raises(ValidationError, match="must list the proxies' addresses or networks"):
        WebSettings(forwarded_allow_ips=text)
