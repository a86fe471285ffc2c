"""What the figures should be: ratios within one run, and a few absolute bounds."""

# ruff: noqa: E501 - the table of targets reads by line

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from benchmarks.cli import HELP, SUBMIT_HELP

Results = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A target, what was measured (None: it was not), and whether it is met."""

    part: str
    what: str
    wanted: str
    measured: str | None
    met: bool


@dataclass(frozen=True)
class _Target:
    part: str
    what: str
    bound: Literal["≥", "≤"]
    limit: float
    unit: str
    figure: Callable[[Results], float]

    def judge(self, results: Results) -> Verdict:
        wanted = f"{self.bound} {self.limit:,g}{self.unit}"
        try:
            value = self.figure(results[self.part])
        except (KeyError, StopIteration, ValueError, ZeroDivisionError):
            return Verdict(self.part, self.what, wanted, None, False)
        met = value >= self.limit if self.bound == "≥" else value <= self.limit
        return Verdict(self.part, self.what, wanted, f"{_digits(value)}{self.unit}", met)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def verdicts(results: Results) -> Iterator[Verdict]:
    """All targets, in the order of the parts."""
    return (target.judge(results) for target in TARGETS)


def jobs_rate(part: Results, name: str, workers: int) -> float:
    """Median jobs a second. Raises KeyError if it was not measured."""
    system = _named(part["systems"], name)
    return float(median(system["jobs_per_second"][str(workers)]))


def best_peer(part: Results, workers: int) -> float:
    """The fastest that is neither ours nor RQ nor durable."""
    return max(
        float(median(system["jobs_per_second"][str(workers)]))
        for system in part["systems"]
        if system["kind"] == "peer" and str(workers) in system["jobs_per_second"]
    )


def http_rate(part: Results, name: str) -> float:
    """Median requests a second."""
    return float(median(_named(part["targets"], name)["requests_per_second"]))


def growth_ratio(by_size: dict[str, list[float]], size: int) -> float:
    """How many times the cost at the smallest ledger."""
    smallest = min(by_size, key=int)
    return float(median(by_size[str(size)]) / median(by_size[smallest]))


def _named(entries: list[Results], name: str) -> Results:
    return next(entry for entry in entries if entry["name"] == name)


def _over_best(name: str, workers: int) -> Callable[[Results], float]:
    return lambda part: jobs_rate(part, name, workers) / best_peer(part, workers)


def _over(name: str, other: str) -> Callable[[Results], float]:
    return lambda part: jobs_rate(part, name, 1) / jobs_rate(part, other, 1)


def _http_over(name: str, other: str) -> Callable[[Results], float]:
    return lambda part: http_rate(part, name) / http_rate(part, other)


def _http_p99(name: str) -> Callable[[Results], float]:
    return lambda part: float(median(_named(part["targets"], name)["p99_ms"]))


def _bulk(part: Results) -> float:
    entry = _named(part["targets"], "jobresults, SQLite: bulk submit")
    return float(median(entry["requests_per_second"])) * float(entry["jobs_per_request"])


def _latency(name: str) -> Callable[[Results], float]:
    return lambda part: float(median(part["milliseconds"][name]))


def _latency_over_rq(part: Results) -> float:
    return _latency(_LONG_POLL)(part) / _latency("rq Worker")(part)


def _waiters(key: str) -> Callable[[Results], float]:
    return lambda part: float(
        next(each for each in part["figures"] if each["waiters"] == 5_000)[key]
    )


def _growth(operation: str) -> Callable[[Results], float]:
    return lambda part: growth_ratio(part["milliseconds"][operation], 1_000_000)


def _microseconds(name: str) -> Callable[[Results], float]:
    return lambda part: float(median(part["microseconds"][name]))


def _redis(key: str) -> Callable[[Results], float]:
    """To 10 bytes: Redis' own tables grow in steps."""
    return lambda part: abs(round(float(part["redis_bytes"]["jobresults"][key]), -1))


def _rss(prefix: str, *, leave_out: str = "") -> Callable[[Results], float]:
    def figure(part: Results) -> float:
        return sum(
            [
                float(each["rss_mib"])
                for each in part["processes"]
                if each["process"].startswith(prefix) and each["process"] != leave_out
            ]
        )

    return figure


def _alert_cost(part: Results) -> float:
    costs = part["cost_us"]
    return float(median(costs["jobresults"]) - median(costs["no handler"]))


def _alert_delay(part: Results) -> float:
    requests = part["requests"]
    ours, nobody = requests["jobresults, Slack hangs"], requests["nobody is told"]
    return float(median(ours["p99_ms"]) - median(nobody["p99_ms"]))


def _miscounted(part: Results) -> float:
    return float(abs(part["storm"]["logged"] - part["storm"]["counted"]))


def _with_metrics(name: str) -> Callable[[Results], float]:
    def figure(part: Results) -> float:
        costs = part["microseconds"][name]
        return float(median(costs["with metrics"]) / median(costs["without metrics"]))

    return figure


def _slowest_scrape(part: Results) -> float:
    if part["stored_jobs"] < 1_000_000:
        raise ValueError("too few jobs were stored")
    return max(float(median(found)) for found in part["scrape_ms"].values())


_SQLITE, _POSTGRESQL = "jobresults, SQLite", "jobresults, PostgreSQL"
_ISOLATED = 'jobresults, SQLite, isolation="process"'
_LONG_POLL = "jobresults over HTTP, SQLite, long-poll"
_FINISHED, _PENDING = f"{_SQLITE}: poll of a finished job", f"{_SQLITE}: poll of a queued job"
_FLASK = "empty Flask endpoint"
_FETCH, _ENQUEUE = "naive: Job.fetch and jsonify", "naive: queue.enqueue"

# fmt: off
TARGETS = (
    _Target("jobs", "1 worker, SQLite, to the best peer", "≥", 2.5, " ×", _over_best(_SQLITE, 1)),
    _Target("jobs", "1 worker, SQLite, to rq Worker", "≥", 60, " ×", _over(_SQLITE, "rq Worker")),
    _Target("jobs", "1 worker, PostgreSQL, to the best peer", "≥", 1.2, " ×", _over_best(_POSTGRESQL, 1)),
    _Target("jobs", "1 worker, PostgreSQL, to procrastinate", "≥", 5, " ×", _over(_POSTGRESQL, "procrastinate")),
    _Target("jobs", "2 workers, SQLite, to the best peer with 2", "≥", 1.5, " ×", _over_best(_SQLITE, 2)),
    _Target("jobs", 'isolation="process" to rq Worker', "≥", 4, " ×", _over(_ISOLATED, "rq Worker")),
    _Target("latency", "long-poll over HTTP, p50", "≤", 6, " ms", _latency(_LONG_POLL)),
    _Target("latency", "the same, to rq Worker without HTTP", "≤", 1, " ×", _latency_over_rq),
    _Target("http", "poll of a finished job to an empty Flask endpoint", "≥", 1.3, " ×", _http_over(_FINISHED, _FLASK)),
    _Target("http", "the same, to the naive endpoint", "≥", 4, " ×", _http_over(_FINISHED, _FETCH)),
    _Target("http", "the same, p99", "≤", 25, " ms", _http_p99(_FINISHED)),
    _Target("http", "poll of a queued job to an empty Flask endpoint", "≥", 1, " ×", _http_over(_PENDING, _FLASK)),
    _Target("http", "submit to naive enqueue", "≥", 1, " ×", _http_over(f"{_SQLITE}: submit", _ENQUEUE)),
    _Target("http", "bulk submit, jobs/s", "≥", 10_000, "", _bulk),
    _Target("waiters", "each of 5,000", "≤", 20, " KiB", _waiters("rss_kib_each")),
    _Target("waiters", "one event among 5,000, p99", "≤", 5, " ms", _waiters("event_p99_ms")),
    _Target("waiters", "idle CPU with 5,000", "≤", 1, " %", _waiters("idle_cpu_percent")),
    *(_Target("growth", f"{operation}, 10^6 jobs to 10^3", "≤", 1.2, " ×", _growth(operation))
      for operation in ("a job: claim, run, outcome", "poll of a finished job", "poll of a queued job", "submit",
                        "a sweep of maintenance")),
    _Target("memory", "Redis, of an ended job after its hot time", "≤", 0, " B", _redis("after_its_lifetime")),
    _Target("memory", "Redis, of a queued job", "≤", 600, " B", _redis("queued")),
    _Target("memory", "RSS of a web worker", "≤", 80, " MiB", _rss("web", leave_out="web: gunicorn's master")),
    _Target("memory", "RSS of a worker with its executor", "≤", 90, " MiB", _rss("worker")),
    _Target("memory", "RSS of maintenance", "≤", 70, " MiB", _rss("maintenance")),
    _Target("alerts", "an error, for who logs it", "≤", 20, " µs", _alert_cost),
    _Target("alerts", "p99 of requests that log errors while Slack hangs, more than without alerts", "≤", 5, " ms", _alert_delay),
    _Target("alerts", "errors miscounted in a storm of 10,000/s", "≤", 0, "", _miscounted),
    _Target("alerts", "growth of a process in it", "≤", 8, " MiB", lambda part: float(part["storm"]["growth_mib"])),
    _Target("accounts", "a remembered API key", "≤", 10, " µs", _microseconds("an API key, remembered")),
    _Target("accounts", "a remembered person's token", "≤", 10, " µs", _microseconds("a person's token, remembered")),
    *(_Target("metrics", f"{name}: with metrics to without", "≤", 1.05, " ×", _with_metrics(name))
      for name in ("poll of a finished job, in front of Flask", "GET /v1/jobs/<job_id>, through Flask",
                   "a job: claim, run, outcome")),
    _Target("metrics", "the slowest scrape beside 10^6 jobs", "≤", 100, " ms", _slowest_scrape),
    *(_Target("cli", name, "≤", 150, " ms", _latency(name)) for name in (HELP, SUBMIT_HELP)),
)
# fmt: on
