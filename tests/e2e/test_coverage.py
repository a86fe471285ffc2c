"""Coverage counts what greenlets do, in the processes that have any."""

from __future__ import annotations

import psutil

from tests.services.stack import Stack
from tests.support.greenlet_coverage import concurrency_of


def test_it_follows_the_greenlets_of_the_web_and_has_no_such_cost_elsewhere(stack: Stack) -> None:
    followed = {
        name: concurrency_of(psutil.Process(process.pid).cmdline())
        for name, process in stack.processes.items()
    }
    assert followed.pop("web") == ["gevent", "thread"]
    assert {tuple(names) for names in followed.values()} == {("thread",)}
