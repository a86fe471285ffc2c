"""Fields bound to the running context."""

from __future__ import annotations

import logging
from contextvars import copy_context
from typing import Any

import gevent
import pytest

from jobresults.telemetry.logging_context import (
    FIELDS,
    MAX_FIELD_CHARACTERS,
    ContextFilter,
    bind,
    bound,
)


def fields_of_a_record(**extra: object) -> dict[str, Any]:
    record = logging.makeLogRecord(extra)
    assert ContextFilter().filter(record)
    return {name: getattr(record, name) for name in FIELDS}


def bound_fields() -> dict[str, Any]:
    return {name: value for name, value in fields_of_a_record().items() if value is not None}


def test_every_record_has_every_field_even_when_nothing_is_bound() -> None:
    assert fields_of_a_record() == dict.fromkeys(FIELDS)


def test_bound_fields_are_on_the_record_and_gone_afterwards() -> None:
    with bound(request_id="r1", client="acme", attempt=2):
        assert bound_fields() == {"request_id": "r1", "client": "acme", "attempt": 2}
    assert bound_fields() == {}


def test_inner_blocks_add_override_and_unbind() -> None:
    with bound(request_id="r1", customer="c1"):
        with bound(job_id="j1", customer="c2", request_id=None):
            assert bound_fields() == {"job_id": "j1", "customer": "c2"}
        assert bound_fields() == {"request_id": "r1", "customer": "c1"}


def test_fields_learned_on_the_way_end_with_the_block_around_them() -> None:
    with bound(request_id="r1"):
        bind(client="acme")
        assert bound_fields() == {"request_id": "r1", "client": "acme"}
    assert bound_fields() == {}


def test_fields_end_when_the_block_raises() -> None:
    with pytest.raises(KeyError), bound(request_id="r1"):
        bind(job_id="j1")
        raise KeyError
    assert bound_fields() == {}


def test_the_second_request_of_a_connection_sees_nothing_of_the_first() -> None:
    def connection() -> list[dict[str, Any]]:
        seen = []
        for request_fields in ({"request_id": "r1", "client": "acme"}, {"request_id": "r2"}):
            with bound(request_id=request_fields["request_id"]):
                if client := request_fields.get("client"):
                    bind(client=client)
                seen.append(bound_fields())
            seen.append(bound_fields())
        return seen

    assert gevent.spawn(connection).get() == [
        {"request_id": "r1", "client": "acme"},
        {},
        {"request_id": "r2"},
        {},
    ]


def test_connections_that_take_turns_do_not_see_each_other() -> None:
    def request(request_id: str) -> list[dict[str, Any]]:
        seen = []
        with bound(request_id=request_id):
            for _ in range(3):
                gevent.sleep(0)
                seen.append(bound_fields())
        return seen

    greenlets = {name: gevent.spawn(request, name) for name in ("r1", "r2", "r3")}

    assert {name: greenlet.get() for name, greenlet in greenlets.items()} == {
        name: [{"request_id": name}] * 3 for name in greenlets
    }


def test_a_greenlet_spawned_with_a_copy_of_the_context_keeps_the_fields() -> None:
    with bound(request_id="r1"):
        bare = gevent.spawn(bound_fields)
        copied = gevent.spawn(copy_context().run, bound_fields)

    assert bare.get() == {}
    assert copied.get() == {"request_id": "r1"}


def test_foreign_values_are_cleaned_and_bounded() -> None:
    with bound(request_id="r1\r\n2026 ERROR forged\x1b[2J", customer="\n" * 10_000):
        fields = bound_fields()

    assert fields["request_id"] == "r1\\r\\n2026 ERROR forged\\x1b[2J"
    assert fields["customer"] == "\\n" * (MAX_FIELD_CHARACTERS // 2)


def test_a_field_given_with_the_record_takes_precedence() -> None:
    with bound(job_id="of the context"):
        assert fields_of_a_record(job_id="of the record")["job_id"] == "of the record"
