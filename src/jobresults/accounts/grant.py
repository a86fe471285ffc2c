"""What an API key is issued for, and what of that cannot be."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from jobresults.accounts.principal import Scope
from jobresults.errors import InvalidRequest

# What jobs of people are owned by begins so; no client may be called so.
PERSON_PREFIX = "user:"
_MAX_CUSTOMERS = 1_000
_CUSTOMER = re.compile(r"[^\x00-\x1f\x7f]{1,200}")


@dataclass(frozen=True)
class Grant:
    """What a key is for. `customers` None: all of them. Seconds to live from its issue."""

    client: str
    scopes: Collection[str] = tuple(Scope)
    customers: Collection[str] | None = None
    requests_per_second: float | None = None
    lifetime_seconds: float | None = None

    def check(self) -> None:
        """Raises InvalidRequest if the client's name, a scope or a limit is not valid."""
        for problem in (self._of_client(), self._of_scopes(), self._of_limits()):
            if problem is not None:
                path, message = problem
                found = [{"path": path, "message": message}]
                raise InvalidRequest(f"{path}: {message}", found)

    def _of_client(self) -> tuple[str, str] | None:
        if not 1 <= len(self.client) <= 100 or not self.client.isprintable():
            return "client", "1 to 100 printable characters"
        if self.client.startswith(PERSON_PREFIX):
            return "client", f"must not begin with {PERSON_PREFIX!r}, as people's names do"
        return None

    def _of_scopes(self) -> tuple[str, str] | None:
        unknown = set(self.scopes) - set(Scope)
        if unknown or not self.scopes:
            return "scope", f"{', '.join(sorted(unknown)) or 'none'}; valid: {', '.join(Scope)}"
        return None

    def _of_limits(self) -> tuple[str, str] | None:
        customers = self.customers
        if customers is not None:
            if {Scope.OPERATE, Scope.ADMIN} & set(self.scopes):
                return "customers", "a key with the scope operate or admin reaches everyone's"
            if not 1 <= len(customers) <= _MAX_CUSTOMERS:
                return "customers", f"name 1 to {_MAX_CUSTOMERS:,}, or leave it out for all"
            if not all(_CUSTOMER.fullmatch(name) for name in customers):
                return "customers", "each of 1 to 200 characters, none of them a control character"
        for name in ("requests_per_second", "lifetime_seconds"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1e10:
                return name, "must be more than 0"
        return None
