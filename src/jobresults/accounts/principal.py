"""Who calls, and what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a caller may do. `operate` also lifts the limit to the client's own jobs; `admin` is for
    people's accounts and API keys.
    """

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    OPERATE = "operate"
    ADMIN = "admin"


class Role(StrEnum):
    """What a person is; each role may do all that the one before may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def scopes(self) -> frozenset[Scope]:
        """What people of this role may do."""
        return _SCOPES[self]


_SCOPES = {
    Role.VIEWER: frozenset({Scope.READ}),
    Role.OPERATOR: frozenset(Scope) - {Scope.ADMIN},
    Role.ADMIN: frozenset(Scope),
}


@dataclass(frozen=True)
class Principal:
    """Who calls, and what they may do.

    `customers`: the only ones whose jobs there are for it; None: all. `person_id`: None for API
    keys. `token_id`: of a person's token, so that it can be revoked.
    """

    client: str
    scopes: frozenset[Scope]
    requests_per_second: float | None = None
    customers: frozenset[str] | None = None
    person_id: int | None = None
    token_id: str | None = None

    @property
    def is_operator(self) -> bool:
        """Is told what only operators are, and sees the jobs of every client."""
        return Scope.OPERATE in self.scopes

    @property
    def owner(self) -> str | None:
        """Whose jobs it may see; None means everyone's. People work for the service, so they see
        all.
        """
        return None if self.is_operator or self.person_id is not None else self.client
