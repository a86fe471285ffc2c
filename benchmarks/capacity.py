"""How long jobs wait for so many workers, by simulation: `python -m benchmarks.capacity` prints the
tables of docs/capacity.md and draws its pictures.

A worker runs one job at a time, first come, first served: a G/G/k queue. Run times are log-normal
with a standard deviation of 1.5 times their mean: most jobs are short, a few are long.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plot

PICTURES = Path(__file__).parent.parent / "docs/pictures"
_SPREAD = 1.5
_SEED = 7
_JOBS, _MOST_JOBS = 400_000, 3_000_000
_BUSY = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# A burst is four times the usual rate, a tenth of the time: callers who all run at the full hour.
_BURST, _BURST_SHARE, _BURST_SECONDS = 4.0, 0.1, 30.0

# As in k8s/components/keda and in the worker's settings.
_POLL_SECONDS, _STEP_SECONDS, _STEP_PODS, _START_SECONDS = 15.0, 30.0, 4, 10.0
_QUEUED_A_POD = 100


@dataclass(frozen=True)
class Waits:
    """What jobs met."""

    p50_seconds: float
    p99_seconds: float
    most_queued: int


def poisson(rate: float, draw: random.Random) -> Iterator[float]:
    """Times of arrivals that know nothing of each other."""
    now = 0.0
    while True:
        now += draw.expovariate(rate)
        yield now


def bursts(rate: float, draw: random.Random) -> Iterator[float]:
    """The same rate on the whole, but at times four times the usual one."""
    usual = rate / (1 - _BURST_SHARE + _BURST_SHARE * _BURST)
    now, ends, is_burst = 0.0, 0.0, True
    while True:
        if now >= ends:
            is_burst = not is_burst
            ends = now + (_BURST_SECONDS if is_burst else _BURST_SECONDS * (1 / _BURST_SHARE - 1))
        now += draw.expovariate(usual * (_BURST if is_burst else 1.0))
        yield now


def simulate(arrivals: Iterator[float], workers: int, mean_seconds: float, jobs: int) -> Waits:
    """The first tenth is left out: it finds all workers free."""
    draw = random.Random(_SEED)
    variance = math.log(1 + _SPREAD**2)
    location, scale = math.log(mean_seconds) - variance / 2, math.sqrt(variance)
    free_at, waits, starts = [0.0] * workers, [], deque[float]()
    most_queued = 0
    for number, now in zip(range(jobs), arrivals, strict=False):
        start = max(now, heapq.heappop(free_at))
        heapq.heappush(free_at, start + draw.lognormvariate(location, scale))
        while starts and starts[0] <= now:
            starts.popleft()
        if start > now:
            starts.append(start)
        if number >= jobs // 10:
            waits.append(start - now)
            most_queued = max(most_queued, len(starts))
    waits.sort()
    return Waits(waits[len(waits) // 2], waits[int(len(waits) * 0.99)], most_queued)


def after_a_step(
    before: float, after: float, seconds: float, most_pods: int
) -> tuple[float, float]:
    """Most jobs queued, and minutes until the queue is empty, when arrivals step from one rate to
    another and KEDA adds pods as the shipped ScaledObject says. A flow, without chance.
    """
    pods, queued, most, now = float(math.ceil(before * seconds / 0.7)), 0.0, 0.0, 0.0
    coming: list[tuple[float, float]] = []
    next_poll = 0.0
    while now < 4 * 3_600:
        queued = max(0.0, queued + after - pods / seconds)
        most = max(most, queued)
        if now >= next_poll:
            next_poll = now + max(_POLL_SECONDS, _STEP_SECONDS)
            wanted = min(most_pods, min(pods, after * seconds) + queued / _QUEUED_A_POD)
            on_the_way = sum(count for _, count in coming)
            more = min(_STEP_PODS, math.ceil(wanted - pods - on_the_way))
            if more > 0:
                coming.append((now + _START_SECONDS, more))
        pods += sum(count for at, count in coming if at <= now)
        coming = [(at, count) for at, count in coming if at > now]
        now += 1.0
        if queued == 0 and now > 60:
            return most, now / 60
    return most, math.inf


def main() -> None:
    """Print the tables, draw the picture."""
    _print_waits()
    _draw_waits()
    _print_steps()


def _print_waits() -> None:
    print("| jobs/s | run time | arrivals | workers | wait p50 | p99 | most queued |")
    print("|---|---|---|---|---|---|---|")
    for rate, mean_seconds in ((10, 0.3), (10, 5.0), (1_000, 0.05), (1_000, 0.3), (100_000, 0.01)):
        workers = math.ceil(rate * mean_seconds / 0.7)
        for name, kind in {"even": poisson, "bursts": bursts}.items():
            if name == "bursts" and rate * _BURST_SECONDS / _BURST_SHARE > _MOST_JOBS:
                continue  # too many jobs to see one burst
            jobs = max(_JOBS, min(_MOST_JOBS, rate * 300))
            found = simulate(kind(rate, random.Random(_SEED)), workers, mean_seconds, jobs)
            times = f"{_time(found.p50_seconds)} | {_time(found.p99_seconds)}"
            print(
                f"| {rate:,} | {mean_seconds:g} s | {name} | {workers:,} | {times} "
                f"| {found.most_queued:,} |"
            )


def _draw_waits() -> None:
    series = {}
    for workers in (2, 10, 100):
        points = []
        for busy in _BUSY:
            waits = simulate(poisson(workers * busy, random.Random(_SEED)), workers, 1.0, _JOBS)
            points.append((busy * 100, waits.p99_seconds))
        series[f"{workers} workers"] = points
        print("\n", workers, [f"{busy:g} %: {ratio:.2f}" for busy, ratio in points])
    title = "p99 of the wait, as a multiple of the mean run time"
    shown = {name: [point for point in found if point[1] < 20] for name, found in series.items()}
    picture = plot.lines(title, shown, x_name="how busy the workers are, %")
    (PICTURES / "capacity-wait.svg").write_text(picture)


def _print_steps() -> None:
    print("\n| jobs/s | run time | pods at first | most queued | minutes until empty |")
    print("|---|---|---|---|---|")
    for before, after, seconds in ((10, 20, 0.3), (10, 40, 0.3), (50, 100, 0.3), (5, 10, 1.0)):
        most, minutes = after_a_step(before, after, seconds, most_pods=100)
        pods = math.ceil(before * seconds / 0.7)
        row = f"| {before} → {after} | {seconds:g} s | {pods} | {most:,.0f} | {minutes:.1f} |"
        print(row)


def _time(seconds: float) -> str:
    if seconds < 0.001:
        return "0"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


if __name__ == "__main__":
    main()
