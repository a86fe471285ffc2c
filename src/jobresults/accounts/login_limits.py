"""How often a login may fail: counted in Redis for all processes, in memory while Redis is away.

A name has a few attempts from each address, and some more from all addresses together. Where its
person has logged in from lately is known, and not held up by what strangers do elsewhere.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

from jobresults.errors import RedisUnavailable, TooManyRequests
from jobresults.redis_store import Client, guarded
from jobresults.settings import AccountsSettings

logger = logging.getLogger(__name__)

_MAX_LOCAL = 10_000
_KNOWN_SECONDS = 30 * 86_400


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

    def count(
        self, address: str, name: str | None = None, *, holds_token: bool = False
    ) -> TooManyRequests | None:
        """An attempt is about to be made from this address, for this name if it is a login, or if
        who holds the person's token is to prove the password, too.

        Returns what refuses the attempt unless its password is right: strangers have used up what
        the name has in all, but its person has logged in from this address lately. Whoever shares
        the address learns nothing from being refused as everywhere else.

        Raises:
            TooManyRequests: within the window it was the address' last but one, or the name's from
                there, or the name's from all addresses.
        """
        limits = (self._settings.login_attempts_per_address, self._settings.login_attempts)
        counted = self._add(_keys(address, name), 1)
        over = [
            found.left_seconds
            for found, limit in zip(counted, limits, strict=False)
            if found.attempts > limit
        ]
        if over:
            raise _refusal("from this address", max(over))
        # Only now: one address alone cannot use up what a name has.
        return None if name is None else self._count_all(address, name, holds_token)

    def _count_all(self, address: str, name: str, holds_token: bool) -> TooManyRequests | None:
        limit = self._settings.login_attempts_per_name
        (found,) = self._add([_key_of_all(name, holds_token)], 1)
        if found.attempts <= limit:
            return None
        if found.attempts == limit + 1:
            logger.warning("logins of a name are limited: too many failed, from many addresses")
        refusal = _refusal("for this name", found.left_seconds)
        if self._is_known(address, name):
            return refusal
        raise refusal

    def give_back(self, address: str, name: str, *, holds_token: bool = False) -> None:
        """The attempt succeeded: it does not count, and its address is known from now on."""
        self._add([*_keys(address, name), _key_of_all(name, holds_token)], -1)
        self._note_known(address, name)

    def _is_known(self, address: str, name: str) -> bool:
        key = _known_key(address, name)
        try:
            with guarded(self._redis):
                return bool(self._redis.exists(key))
        except RedisUnavailable:
            _, ends_at = self._local.get(key, (0, 0.0))
            return ends_at > time.monotonic()

    def _note_known(self, address: str, name: str) -> None:
        key = _known_key(address, name)
        try:
            with guarded(self._redis):
                self._redis.set(key, 1, ex=_KNOWN_SECONDS)
        except RedisUnavailable:
            self._keep_locally(key, 1, time.monotonic() + _KNOWN_SECONDS)

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
        self._keep_locally(key, count + amount, ends_at)
        return _Counted(count + amount, ends_at - now)

    def _keep_locally(self, key: str, count: int, ends_at: float) -> None:
        self._local[key] = (count, ends_at)
        while len(self._local) > _MAX_LOCAL:
            self._local.popitem(last=False)


def _refusal(whose: str, left_seconds: float) -> TooManyRequests:
    seconds = max(1, math.ceil(left_seconds))
    return TooManyRequests(f"too many attempts {whose}; try again in {seconds} s", seconds)


def _keys(address: str, name: str | None) -> list[str]:
    """Of the address, and of the name from there."""
    network = _network(address)
    parts = [network] if name is None else [network, f"{network} {name.lower()}"]
    return [_key(part) for part in parts]


def _key_of_all(name: str, holds_token: bool) -> str:
    """Of the name from everywhere. Strangers do not reach what holders of its token count in."""
    return _key(f"{'holder' if holds_token else 'all'}\n{name.lower()}")


def _known_key(address: str, name: str) -> str:
    return _key(f"known\n{_network(address)} {name.lower()}")


def _key(part: str) -> str:
    # Hashed: they are of any length, and personal.
    return f"jr:login:{hashlib.sha256(part.encode()).hexdigest()[:32]}"


def _network(address: str) -> str:
    """Whoever has an IPv6 address has 2^64 of them."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
