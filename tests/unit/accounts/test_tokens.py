"""Tokens: what is read, and that nothing else is."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from jobresults.accounts.tokens import Tokens
from jobresults.configuration import load_settings
from jobresults.errors import ConfigurationError
from tests.unit.accounts.conftest import SECRET, accounts


def encoded(key: Any = SECRET, algorithm: str = "HS256", kid: Any = "a", **changes: Any) -> str:
    """A token like ours, but for what is given; `None` takes a claim away."""
    said = jwt.decode(Tokens(accounts()).issue(7, 2).text, options={"verify_signature": False})
    claims = {name: value for name, value in {**said, **changes}.items() if value is not None}
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims, key, algorithm, headers=headers)


def unsigned_header(header: bytes) -> str:
    return base64.urlsafe_b64encode(header).rstrip(b"=").decode() + ".e30.x"


BAD: dict[str, Callable[[], str]] = {
    "signed by another": lambda: encoded("y" * 32),
    "unsigned": lambda: encoded(None, "none"),
    "of another algorithm": lambda: encoded(algorithm="HS512"),
    "of an unknown key": lambda: encoded(kid="b"),
    "of no key": lambda: encoded(kid=None),
    "with a strange key": lambda: unsigned_header(b'{"alg": "HS256", "kid": ["a"]}'),
    "for others": lambda: encoded(aud="elsewhere"),
    "by others": lambda: encoded(iss="elsewhere"),
    "expired": lambda: encoded(exp=int(time.time()) - 6),
    "of tomorrow": lambda: encoded(iat=int(time.time()) + 86_400),
    "of nobody": lambda: encoded(sub="ann"),
    "of no generation": lambda: encoded(gen="x"),
    **{
        f"without {claim}": lambda claim=claim: encoded(**{claim: None})
        for claim in ("exp", "iat", "aud", "iss", "jti", "sub", "gen")
    },
    "deep": lambda: unsigned_header(b"[" * 1_400),
    "not even one": lambda: "..",
    "long": lambda: encoded(more="x" * 2_000),
    "an API key": lambda: "jr_000000000000_" + "x" * 43,
    "not text": lambda: "\udcff.\x00.",
}


def test_an_issued_token_is_read() -> None:
    tokens = Tokens(accounts(token_ttl_seconds=600))
    issued = tokens.issue(7, 2)
    claims = tokens.read(issued.text)
    assert claims is not None
    assert (claims.person_id, claims.generation, issued.lifetime_seconds) == (7, 2, 600)
    assert 500 < claims.left_seconds <= 605
    again = tokens.read(tokens.issue(7, 2).text)
    assert again is not None
    assert again.token_id != claims.token_id


@pytest.mark.parametrize("kind", BAD)
def test_a_token_that_is_not_ours_is_none(kind: str) -> None:
    assert Tokens(accounts()).read(BAD[kind]()) is None


def test_the_control_is_good() -> None:
    assert Tokens(accounts()).read(encoded()) is not None


def test_keys_are_changed_without_ending_logins() -> None:
    old, new = {"id": "a", "secret": SECRET}, {"id": "b", "secret": "z" * 32}
    before = Tokens(accounts(token_keys=[old])).issue(1, 0).text
    both = Tokens(accounts(token_keys=[new, old]))
    after = both.issue(1, 0).text
    assert jwt.get_unverified_header(after)["kid"] == "b"
    assert both.read(before) is not None
    assert both.read(after) is not None
    assert Tokens(accounts(token_keys=[new])).read(before) is None


def test_keys_come_from_the_environment_and_are_not_shown_when_they_are_wrong() -> None:
    name = "JOBRESULTS_ACCOUNTS__TOKEN_KEYS"
    given = f'[{{"id": "a", "secret": "{SECRET}"}}]'
    keys = load_settings(environ={name: given}).accounts.token_keys
    assert keys[0].secret.get_secret_value() == SECRET
    for wrong in (given.replace(SECRET, "short-secret"), f"[{given[1:-1]}, {given[1:-1]}]"):
        with pytest.raises(ConfigurationError, match="accounts") as caught:
            load_settings(environ={name: wrong})
        assert "short-secret" not in caught.value.detail
        assert SECRET not in caught.value.detail
