"""People's accounts: `/user/` for admins, `/user/<id>` for the person itself, too."""

from __future__ import annotations

import logging
import re
from typing import Any

from flask import Response, jsonify, request

from jobresults.accounts import people
from jobresults.accounts.people import Change, Person
from jobresults.accounts.principal import Scope
from jobresults.errors import Forbidden, NotFound
from jobresults.web.account_bodies import NewUserBody, UserChangeBody, UserQuery
from jobresults.web.document import rfc3339
from jobresults.web.request_body import parse, read_json
from jobresults.web.services import principal, services

logger = logging.getLogger(__name__)

_ID = re.compile(r"[1-9][0-9]{0,17}")


def list_users() -> Response:
    """List people's accounts."""
    query = parse(UserQuery, dict(request.args))
    found, next_after = people.page(services().database, after_id=query.after, limit=query.limit)
    return jsonify(users=[user_document(person) for person in found], next_after=next_after)


def create_user() -> Response:
    """Make an account for a person."""
    body = parse(NewUserBody, read_json().document)
    made = people.create(
        services().database,
        name=body.name,
        password_hash=services().passwords.hash(body.password.get_secret_value()),
        role=body.role,
    )
    logger.info("user %d made, a %s, by %s", made.id, made.role, principal().client)
    response = jsonify(user_document(made))
    response.status_code = 201
    response.headers["Location"] = f"/user/{made.id}"
    return response


def get_user(user_id: str) -> Response:
    """Read an account."""
    return jsonify(user_document(_reachable(user_id)))


def change_user(user_id: str) -> Response:
    """Change an account: name and password of one's own, everything for admins."""
    person = _reachable(user_id)
    body = parse(UserChangeBody, read_json().document)
    _check_allowed(person, body)
    new_password = body.password and body.password.get_secret_value()
    password_hash = services().passwords.hash(new_password) if new_password else None
    changed = people.change(
        services().database,
        person.id,
        Change(body.name, password_hash, body.role, body.disabled),
    )
    services().keys.forget_all()
    names = ", ".join(sorted(body.model_fields_set - {"current_password"}))
    logger.info("user %d changed (%s) by %s", person.id, names, principal().client)
    return jsonify(user_document(changed))


def delete_user(user_id: str) -> Response:
    """Delete an account; the jobs submitted by it stay."""
    person = _reachable(user_id)
    people.remove(services().database, person.id)
    services().keys.forget_all()
    logger.info("user %d deleted by %s", person.id, principal().client)
    return Response(status=204)


def user_document(person: Person) -> dict[str, Any]:
    """An account as callers read it: nothing of its password."""
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role,
        "created_at": rfc3339(person.created_at_ms),
        "disabled": person.disabled_at_ms is not None,
    }


def _reachable(user_id: str) -> Person:
    """The person, if the running request may know of it: another's account is an absent one."""
    caller = principal()
    known = Scope.ADMIN in caller.scopes or user_id == str(caller.person_id)
    if not known or not _ID.fullmatch(user_id):
        raise NotFound("user not found")
    return people.get(services().database, int(user_id))


def _check_allowed(person: Person, body: UserChangeBody) -> None:
    """Raises Forbidden if only admins may change that; what `confirm` raises, if it is about the
    caller's own password.
    """
    caller = principal()
    for name in ("role", "disabled"):
        if Scope.ADMIN not in caller.scopes and getattr(body, name) is not None:
            raise Forbidden(f"{name}: only admins may change it")
    if body.password is not None and caller.person_id == person.id:
        current = body.current_password and body.current_password.get_secret_value()
        address = request.remote_addr or "unknown"
        services().logins.confirm(person.name, current or None, address)
