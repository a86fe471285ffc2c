"""How often a login may fail: counted in Redis for all processes, in memory while Redis is away."""

from __future__ import annotations

import hashlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from jobresults.errors import RedisUnavailable, TooManyRequests
from jobresults.redis_store import Client, guarded
from jobresults.settings import AccountsSettings

_MAX_LOCAL = 10_000


class _Counted(NamedTuple):
    attempts: int
    left_seconds: float


class LoginLimits:
    """Counts attempts before they are made, so that many at once are not more than allowed; gives
    back those that succeed.
    """

    def __init__(self, redis: Client, settings: AccountsSettings) -> None:
        self._redis = redis
        self._settings = settings
        self._local: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def count(self, address: str, name: str | None = None) -> None:
        """An attempt is about to be made from this address, for this name if it is a login.

        Raises:
            TooManyRequests: within the window it was the name's or the address' last but one.
        """
        limits = (self._settings.login_attempts_per_address, self._settings.login_attempts)
        counted = self._add(_keys(address, name), 1)
        over = [
            found.left_seconds
            for found, limit in zip(counted, limits, strict=False)
            if found.attempts > limit
        ]
        if over:
            seconds = max(1, math.ceil(max(over)))
            raise TooManyRequests(
                f"too many attempts from this address; try again in {seconds} s", seconds
            )

    def give_back(self, address: str, name: str) -> None:
        """The attempt succeeded: it does not count."""
        self._add(_keys(address, name), -1)

    def _add(self, keys: Sequence[str], amount: int) -> list[_Counted]:
        try:
            return self._add_in_redis(keys, amount)
        except RedisUnavailable:
            return [self._add_locally(key, amount) for key in keys]

    def _add_in_redis(self, keys: Sequence[str], amount: int) -> list[_Counted]:
        with guarded(self._redis), self._redis.pipeline() as pipeline:
            for key in keys:
                pipeline.set(key, 0, ex=self._settings.login_window_seconds, nx=True)
                pipeline.incrby(key, amount)
                pipeline.ttl(key)
            answers: list[Any] = pipeline.execute()
        return [
            _Counted(int(answers[place + 1]), float(answers[place + 2]))
            for place in range(0, len(answers), 3)
        ]

    def _add_locally(self, key: str, amount: int) -> _Counted:
        now = time.monotonic()
        count, ends_at = self._local.get(key, (0, 0.0))
        if ends_at <= now:
            self._local.pop(key, None)
            count, ends_at = 0, now + self._settings.login_window_seconds
        self._local[key] = (count + amount, ends_at)
        while len(self._local) > _MAX_LOCAL:
            self._local.popitem(last=False)
        return _Counted(count + amount, ends_at - now)


def _keys(address: str, name: str | None) -> list[str]:
    """Of the address, and of the name from there. Hashed: they are of any length, and personal."""
    network = _network(address)
    parts = [network] if name is None else [network, f"{network} {name.lower()}"]
    return [f"jr:login:{hashlib.sha256(part.encode()).hexdigest()[:32]}" for part in parts]


def _network(address: str) -> str:
    """Whoever has an IPv6 address has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
