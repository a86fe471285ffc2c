"""Tokens of people who have logged in: JSON Web Tokens, signed here and read here alone."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import jwt

from jobresults.settings import AccountsSettings

_ALGORITHM = "HS256"  # the only one: a token has no say in how it is verified
_ISSUER = _AUDIENCE = "jobresults"
_REQUIRED = ["exp", "iat", "aud", "iss", "jti", "sub", "gen"]
_MAX_CHARACTERS = 2_000
# Clocks of web processes on several machines may differ by so much.
_LEEWAY_SECONDS = 5


@dataclass(frozen=True)
class Claims:
    """What a genuine token says. It is good while the person's tokens are of this generation."""

    person_id: int
    generation: int
    token_id: str
    left_seconds: float


@dataclass(frozen=True)
class Issued:
    """A new token. It is a secret, and kept nowhere."""

    text: str
    lifetime_seconds: int


class Tokens:
    """Signs with the first key, reads what any of the keys has signed: so keys can be changed."""

    def __init__(self, settings: AccountsSettings) -> None:
        """There must be a key."""
        self._secrets = {key.id: key.secret.get_secret_value() for key in settings.token_keys}
        self._first = settings.token_keys[0].id
        self._lifetime_seconds = settings.token_ttl_seconds

    def issue(self, person_id: int, generation: int) -> Issued:
        """A token for a person who has just shown to be that person."""
        now = int(time.time())
        claims = {
            "sub": str(person_id),
            "gen": generation,
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "iat": now,
            "exp": now + self._lifetime_seconds,
            "jti": secrets.token_hex(16),
        }
        text = jwt.encode(
            claims, self._secrets[self._first], algorithm=_ALGORITHM, headers={"kid": self._first}
        )
        return Issued(text, self._lifetime_seconds)

    def read(self, text: str) -> Claims | None:
        """What the token says, if one of the keys has signed it and its time is not over."""
        if len(text) > _MAX_CHARACTERS or text.count(".") != 2:
            return None
        try:
            secret = self._secrets.get(jwt.get_unverified_header(text).get("kid", ""))
            if secret is None:
                return None
            claims = jwt.decode(
                text,
                secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                leeway=_LEEWAY_SECONDS,
                options={"require": _REQUIRED},
            )
            return _claims(claims)
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return None


def _claims(claims: dict[str, Any]) -> Claims:
    return Claims(
        person_id=int(claims["sub"]),
        generation=int(claims["gen"]),
        token_id=str(claims["jti"]),
        left_seconds=claims["exp"] + _LEEWAY_SECONDS - time.time(),
    )
