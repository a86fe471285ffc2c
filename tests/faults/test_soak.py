"""Everything is killed again and again, and still each accepted job ends exactly once."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.soak.__main__ import AOF
from tests.faults.soak.plan import make_plan
from tests.faults.soak.soak import SHAPE, run
from tests.services.ledger import POSTGRESQL, SQLITE
from tests.services.redis_server import RedisServer
from tests.services.stack import running_stack


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", [SQLITE, POSTGRESQL])
def test_row_29_every_accepted_job_ends_exactly_once(
    kind: str,
    empty_database: Callable[[str], str],
    start_redis: Callable[..., RedisServer],
) -> None:
    """Row 29: a small soak; `make soak` is the large one, and replays a seed."""
    plan = make_plan(100, 10, random.randrange(1_000_000), ledger_dies=kind == "postgresql")
    with running_stack(empty_database(kind), start_redis(*AOF), SHAPE) as stack:
        verdict = run(stack, plan)
    assert not verdict.violations, f"seed {plan.seed}\n{verdict.summary()}"
