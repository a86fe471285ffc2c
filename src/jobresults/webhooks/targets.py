"""Where callbacks may go: nobody must reach through us what only we can reach.

An address counts as public by the registries of special-purpose addresses (RFC 6890, IANA), not by
`ipaddress.is_global`, which differs between versions of Python.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from jobresults.errors import InvalidRequest
from jobresults.settings import CallbacksSettings

Address = IPv4Address | IPv6Address

MAX_URL_CHARACTERS = 2_000
_DEFAULT_PORTS = {"https": 443, "http": 80}

_NOT_PUBLIC_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; metadata services of clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_PUBLIC_V6 = IPv6Network("2000::/3")  # all that is assigned for use between networks
_NOT_PUBLIC_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo and other protocols
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to any IPv4 address
        "3fff::/20",
    )
)
_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Target:
    """A URL that callbacks may go to, as far as can be told without looking up its name."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, settings: CallbacksSettings, *, field: str = "callback_url") -> Target:
    """The target that a URL names.

    Raises:
        InvalidRequest: callbacks may not go there; names the field, what is wrong and what to do.
    """
    problem = None
    try:
        target = _parse(url)
    except ValueError as error:
        problem = str(error)
    else:
        problem = _objection(target, settings)
    if problem is not None:
        raise InvalidRequest(f"{field}: {problem}", [{"path": field, "message": problem}])
    return target


def is_allowed(address: Address, settings: CallbacksSettings) -> bool:
    """Whether callbacks may be sent to this address: it is public, or in an allowed network."""
    plain = _unwrapped(address)
    networks = settings.allowed_networks
    return any(plain in network or address in network for network in networks) or _public(plain)


def _parse(url: str) -> Target:
    """Raises ValueError: in words for the caller."""
    if len(url) > MAX_URL_CHARACTERS or not all("!" <= character <= "~" for character in url):
        raise ValueError(
            f"must be at most {MAX_URL_CHARACTERS} visible ASCII characters; encode others"
        )
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError("must be a URL like https://example.com/callbacks")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must have no user or password in it; the signature tells who calls")
    if parts.fragment or "\\" in url:
        raise ValueError("must have neither a fragment (#) nor a backslash")
    port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname.rstrip("."), port, path)


def _objection(target: Target, settings: CallbacksSettings) -> str | None:
    if target.scheme == "http" and not settings.allow_http:
        return "must begin with https://"
    if target.port not in settings.allowed_ports and not (
        target.scheme == "http" and target.port == _DEFAULT_PORTS["http"]
    ):
        allowed = ", ".join(map(str, settings.allowed_ports))
        return f"port {target.port} is not allowed; allowed: {allowed}"
    try:
        address = ip_address(target.host)
    except ValueError:
        return None  # a name; its addresses are checked with each delivery
    return None if is_allowed(address, settings) else "must lead to a public address"


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that a mapped or translated one leads to."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not _within(address, _NOT_PUBLIC_V4)
    return address in _PUBLIC_V6 and not _within(address, _NOT_PUBLIC_V6)


def _within(address: Address, networks: Iterable[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks)
