"""Hands jobs to a peer and reads their results; runs in the peer's own environment.

    python driver.py <module> jobs <count>     one JSON line: when the first ran, when all were done
    python driver.py <module> latency <count>  one JSON line: seconds from submit to result, each

Each job returns the clock when it ran. Jobs are queued first; "queued" on a line says that workers
may start.
"""

from __future__ import annotations

import importlib
import json
import sys
import time

WITHIN_SECONDS = 120
WARM_UP = 20


def main() -> None:
    name, kind, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    peer = importlib.import_module(name)
    if kind == "jobs":
        handles = list(peer.enqueue(count))
        print("queued", flush=True)
        clocks, ended_at = until_done(peer, handles)
        assert len(clocks) == count, len(clocks)
        print(json.dumps({"started_at": min(clocks), "ended_at": max(ended_at, *clocks)}))
    else:
        print("queued", flush=True)
        seconds = [once(peer) for _ in range(WARM_UP + count)][WARM_UP:]
        print(json.dumps({"seconds": seconds}))


def until_done(peer, handles):
    """All results, and the clock when the last was there. See service.run_until_done, for ours."""
    deadline = time.monotonic() + WITHIN_SECONDS
    left = list(handles)
    clocks = []
    ended_at = 0.0
    while left:
        if any(peer.result(handle) is None for handle in left[-64:]):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(left)} jobs have no result yet")
            time.sleep(0.01)
            continue
        ended_at = time.time()
        results = [(handle, peer.result(handle)) for handle in left]
        left = [handle for handle, clock in results if clock is None]
        clocks += [clock for _, clock in results if clock is not None]
    assert all(isinstance(clock, float) for clock in clocks)
    return clocks, ended_at


def once(peer):
    start = time.perf_counter()
    (handle,) = peer.enqueue(1)
    clock = peer.wait(handle)
    seconds = time.perf_counter() - start
    assert isinstance(clock, float)
    return seconds


if __name__ == "__main__":
    main()
