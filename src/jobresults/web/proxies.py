"""Who the caller is when reverse proxies stand in front."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from werkzeug.middleware.proxy_fix import ProxyFix

from jobresults.settings import WebSettings


class TrustedProxies:
    """WSGI middleware: takes the caller's address and scheme from `X-Forwarded-For` and `-Proto`
    if the connection comes from a configured proxy, and from the connection itself otherwise.
    """

    def __init__(self, application: Any, settings: WebSettings) -> None:
        count = settings.trusted_proxies
        self._direct = application
        self._proxied = ProxyFix(application, x_for=count, x_proto=count, x_host=0, x_prefix=0)
        self._networks = settings.proxy_networks

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer the request."""
        of_proxy = self._is_proxy(environ.get("REMOTE_ADDR", ""))
        application = self._proxied if of_proxy else self._direct
        answer: Iterable[bytes] = application(environ, start_response)
        return answer

    def _is_proxy(self, address: str) -> bool:
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(peer in network for network in self._networks)
