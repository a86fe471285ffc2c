"""The shapes of requests and answers about people and API keys."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    Strict,
    StrictBool,
    StringConstraints,
)
from pydantic_core import PydanticCustomError

from jobresults.accounts.people import (
    MAX_PASSWORD_CHARACTERS,
    MIN_PASSWORD_CHARACTERS,
    NAME_PATTERN,
)
from jobresults.accounts.principal import Role, Scope
from jobresults.web.bodies import CustomerName, FilterText


def _of_proper_length(password: SecretStr) -> SecretStr:
    if not MIN_PASSWORD_CHARACTERS <= len(password.get_secret_value()) <= MAX_PASSWORD_CHARACTERS:
        lengths = {"least": MIN_PASSWORD_CHARACTERS, "most": MAX_PASSWORD_CHARACTERS}
        raise PydanticCustomError(
            "password_length", "must have {least} to {most} characters", lengths
        )
    return password


UserName = Annotated[str, StringConstraints(pattern=NAME_PATTERN), Field(examples=["ann"])]
Password = Annotated[
    SecretStr,
    AfterValidator(_of_proper_length),
    Field(
        examples=["a sentence nobody guesses"],
        json_schema_extra={
            "minLength": MIN_PASSWORD_CHARACTERS,
            "maxLength": MAX_PASSWORD_CHARACTERS,
        },
    ),
]
_Number = Annotated[float, Strict()]
# Not held to a form: a wrong one is a wrong login.
_Given = Annotated[SecretStr, Field(max_length=1_000)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RegisterBody(_Request):
    """A person who wants an account."""

    name: UserName = Field(description="Case does not matter")
    password: Password


class LoginBody(_Request):
    """A person who wants a token."""

    name: Annotated[str, StringConstraints(max_length=200)]
    password: _Given


class SignInForm(LoginBody):
    """A person who wants to see pages."""

    to: Annotated[str, StringConstraints(max_length=200)] = Field(
        "", description="Which page to go on to", examples=["/jobs"]
    )


class TokenBody(BaseModel):
    """What `Authorization: Bearer` takes until it expires or is revoked."""

    token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds from now")


class WhoBody(BaseModel):
    """Whose credentials they are, and what they allow."""

    client: str = Field(description="Who owns the jobs submitted with them", examples=["user:ann"])
    user_id: int | None = Field(description="Of the person; null for an API key")
    scopes: list[Scope]
    customers: list[str] | None = Field(description="The only ones they reach; null: all")
    requests_per_second: float | None = Field(description="null: the installation's limit")


class NewUserBody(RegisterBody):
    """An account that an admin makes."""

    role: Role = Role.VIEWER


class UserChangeBody(_Request):
    """What to change; the rest stays. A new password or role, and disabling, end all logins."""

    name: UserName | None = None
    password: Password | None = None
    current_password: _Given | None = Field(None, description="To change one's own password")
    role: Role | None = Field(None, description="Admins only")
    disabled: StrictBool | None = Field(None, description="Admins only")


class UserQuery(_Request):
    """Where to go on listing people."""

    after: int = Field(0, ge=0, le=2**63 - 1, description="`next_after` of the page before")
    limit: int = Field(50, ge=1, le=100)


class UserBody(BaseModel):
    """A person's account."""

    id: int
    name: str
    role: Role
    created_at: datetime
    disabled: bool


class UserPage(BaseModel):
    """Accounts, oldest first."""

    users: list[UserBody]
    next_after: int | None


class NewKeyBody(_Request):
    """A key to be issued."""

    model_config = ConfigDict(
        json_schema_extra={  # who operates or administers reaches everyone's
            "anyOf": [
                {"properties": {"customers": {"type": "null"}}},
                {"properties": {"scopes": {"items": {"enum": ["submit", "read", "cancel"]}}}},
            ],
            "examples": [{"client": "shop", "scopes": ["submit", "read"]}],
        }
    )

    client: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[ -~]+$")] = (
        Field(description="Who will own the jobs submitted with it", examples=["shop"])
    )
    scopes: list[Scope] = Field(min_length=1, max_length=20)
    customers: list[CustomerName] | None = Field(
        None, min_length=1, max_length=1_000, description="The only ones it reaches; default: all"
    )
    expires_in_seconds: _Number | None = Field(
        None, gt=0, le=3_153_600_000, description="Default: never"
    )
    requests_per_second: _Number | None = Field(
        None, gt=0, le=1_000_000, description="Default: the installation's"
    )


class KeyBody(BaseModel):
    """A key as its managers see it: not the key itself."""

    id: str
    prefix: str = Field(description="What the key begins with")
    client: str
    scopes: list[Scope]
    customers: list[str] | None
    requests_per_second: float | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute")
    revoked_at: datetime | None


class IssuedKeyBody(KeyBody):
    """A new key, with the only sight of it."""

    key: str


class KeyPage(BaseModel):
    """Keys, oldest first."""

    api_keys: list[KeyBody]
    next_cursor: str | None


class KeyQuery(_Request):
    """Whose keys to list, and where to go on."""

    client: FilterText | None = None
    cursor: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,16}_[0-9a-f]{12}$")] | None = Field(
        None, description="`next_cursor` of the page before"
    )
    limit: int = Field(1_000, ge=1, le=1_000)
