"""Which errors are the same problem."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from types import TracebackType

_MAX_CHAIN = 5
_MAX_TEMPLATE_CHARACTERS = 300
# UUIDs, hexadecimal numbers, all other numbers.
_VARYING = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\b0x[0-9a-f]+\b|\b(?=[a-f]*[0-9])[0-9a-f]{6,}\b|[0-9]+",
    re.IGNORECASE,
)
_CAUSES = {
    "redis": frozenset({"RedisUnavailable", "redis.ConnectionError", "redis.TimeoutError"}),
    "database": frozenset(
        {
            "LedgerUnavailable",
            "sqlalchemy.OperationalError",
            "sqlalchemy.InterfaceError",
            "psycopg.OperationalError",
        }
    ),
}


def of_key(service: str, environment: str, key: str) -> str:
    """The fingerprint of all events with this key, as 16 hexadecimal digits."""
    text = f"{service}|{environment}|{key}"
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def exception_key(error: BaseException, trace: TracebackType | None, in_app: frozenset[str]) -> str:
    """What is the same for all raises of one bug: its chain of types, and the innermost of our own
    functions it came through; the innermost of all if none was ours.
    """
    chain = ">".join(_name(type(link)) for link in chain_of(error))
    return f"{chain}|{_place(trace, in_app)}"


def message_key(logger: str, template: object) -> str:
    """What is the same for all lines of one log statement, also if they were put together before
    `logging` saw them.
    """
    return f"{logger}|{_stripped(str(template)[:_MAX_TEMPLATE_CHARACTERS])}"


def cause_of(error: BaseException) -> str | None:
    """What is out of reach, if that is all this error says."""
    for link in chain_of(error):
        for kind in type(link).__mro__:
            name = kind.__name__
            qualified = f"{kind.__module__.partition('.')[0]}.{name}"
            for cause, names in _CAUSES.items():
                if name in names or qualified in names:
                    return cause
    return None


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came of, at most five links."""
    link: BaseException | None = error
    for _ in range(_MAX_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _name(kind: type[BaseException]) -> str:
    module = kind.__module__
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _place(trace: TracebackType | None, in_app: frozenset[str]) -> str:
    ours = last = None
    while trace is not None:
        last = trace.tb_frame
        module = last.f_globals.get("__name__")
        if type(module) is str and module.partition(".")[0] in in_app:
            ours = last
        trace = trace.tb_next
    frame = ours or last
    if frame is None:
        return "-"
    return f"{frame.f_globals.get('__name__', '-')}:{frame.f_code.co_qualname}"


@lru_cache(maxsize=1024)
def _stripped(text: str) -> str:
    return _VARYING.sub("*", text)
