"""Results as Markdown: every figure as minimum, median and maximum, with its ratios and targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median, quantiles
from typing import Any

from benchmarks.cli import CLICK, PYTHON
from benchmarks.targets import Results, best_peer, growth_ratio, http_rate, jobs_rate, verdicts


def _introduction(results: Results) -> str:
    run = results["run"]
    command = f"Made by `{run['command']}`."
    if "ONLY=" in run["command"]:
        command += " Sections that it did not measure say when and by which command they were."
    return f"""# Results

{command}
Machines differ and are noisy: read the ratios, for all rows of a table are measured in turn within
one run. Ours, the peers and the load that drives them share the processors.
"""


def markdown(results: Results) -> str:
    """The whole document."""
    run = results["run"]
    parts = {"jobs": _jobs, "latency": _latency, "http": _http, "growth": _growth}
    parts |= {
        "turns": _turns,
        "waiters": _waiters,
        "memory": _memory,
        "alerts": _alerts,
        "accounts": _accounts,
        "metrics": _metrics,
        "cli": _cli,
    }
    sections = [_introduction(results), _versions(run), _targets(results)]
    for name, render in parts.items():
        if name in results:
            sections.append("\n".join([*render(results[name]), *_footer(results[name], run)]))
    return "\n".join(sections)


def _versions(run: Results) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    return f"{run['machine']}; {versions}; {run['measured_on']}.\n"


def _targets(results: Results) -> str:
    rows = [
        (verdict.what, verdict.wanted, verdict.measured or "not measured", _yes(verdict.met))
        for verdict in verdicts(results)
    ]
    return "\n".join(["## Targets", "", *_table(("what", "target", "measured", "met"), rows), ""])


def _jobs(part: Results) -> Iterator[str]:
    yield from _heading(
        "Jobs per second",
        "No-op jobs, queued first; from the first one's run to the moment when the last result can "
        "be read. All results are read back and checked. The peers keep jobs and results in Redis "
        "without persistence; ours and procrastinate commit each to a database that waits for the "
        "disk.",
        picture="jobs.svg",
    )
    for workers in (1, 2):
        rows = []
        for system in part["systems"]:
            rates = system["jobs_per_second"].get(str(workers))
            if rates:
                ratios = (
                    _ratio(rates, lambda w=workers: best_peer(part, w)),
                    _ratio(rates, lambda w=workers: jobs_rate(part, "rq Worker", w)),
                )
                name = f"{system['name']} {system['version']}".strip()
                rows.append((name, *_spread(rates, 0), *ratios, system["tuning"]))
        title = f"{workers} worker process{'es' if workers > 1 else ''}"
        columns = (title, "min", "median", "max", "× best peer", "× rq Worker", "how")
        yield from [*_table(columns, rows), ""]


def _latency(part: Results) -> Iterator[str]:
    yield from _heading(
        "Idle latency",
        "From submit to the result in the caller's hands, one job after the other, one worker. "
        "Ours goes over HTTP, the peers do not; each waits in its own way (Pub/Sub, blocking read, "
        "a look each millisecond).",
    )
    rows = []
    for name, values in part["milliseconds"].items():
        cuts = quantiles(values, n=100)
        rows.append((name, f"{cuts[49]:.2f}", f"{cuts[98]:.2f}", f"{min(values):.2f}"))
    yield from [*_table(("system", "p50 ms", "p99 ms", "min ms"), rows), ""]


def _http(part: Results) -> Iterator[str]:
    yield from _heading(
        "HTTP",
        f"One gunicorn worker (gevent), {part['connections']} keep-alive connections unless noted, "
        f"access log on, load by {part['generator']}. Ours authenticates each request and commits "
        "each submission, with fsync, before its 202; the naive endpoints do neither.",
    )
    rows = []
    for target in part["targets"]:
        rates = target["requests_per_second"]
        ratio = _ratio(rates, lambda: http_rate(part, "empty Flask endpoint"))
        name = target["name"]
        if target["jobs_per_request"] > 1:
            jobs = median(rates) * target["jobs_per_request"]
            size, connections = target["jobs_per_request"], target["connections"]
            name += f", {size} jobs a request, {connections} connections: {jobs:,.0f} jobs/s"
        if target["refused"]:
            name += f" ({target['refused']:.2%} refused)"
        times = (f"{median(target[key]):.1f}" for key in ("p50_ms", "p99_ms"))
        rows.append((name, *_spread(rates, 0), ratio, *times))
    columns = ("requests/s", "min", "median", "max", "× empty Flask", "p50 ms", "p99 ms")
    yield from [*_table(columns, rows), ""]


def _growth(part: Results) -> Iterator[str]:
    yield from _heading(
        "Cost as the ledger grows",
        "Milliseconds of an operation with so many ended jobs in an SQLite ledger: of requests "
        "while the web process is saturated, of a job while the worker is. `×` is the ratio to the "
        "smallest ledger.",
        picture="growth.svg",
    )
    rows = [
        (operation, f"{int(size):,}", *_spread(costs, 3), f"{growth_ratio(by_size, int(size)):.2f}")
        for operation, by_size in part["milliseconds"].items()
        for size, costs in by_size.items()
    ]
    yield from [*_table(("operation, ms", "stored jobs", "min", "median", "max", "×"), rows), ""]
    yield "Maintenance finds an empty Redis and a ledger full of queued jobs, as after FLUSHALL:"
    yield ""
    found_again = [
        (
            ledger,
            f"{found['jobs']:,}",
            f"{found['until_first_seconds']:.1f}",
            f"{found['seconds']:.1f}",
            f"{found['jobs'] / max(0.01, found['seconds'] - found['until_first_seconds']):,.0f}",
        )
        for ledger, found in part["dispatched_again"].items()
    ]
    columns = ("ledger", "queued jobs", "s until the first", "s until all", "jobs/s")
    yield from [*_table(columns, found_again), ""]


def _turns(part: Results) -> Iterator[str]:
    yield from _heading(
        "Turns",
        "What it costs that customers take turns, one worker on SQLite, no-op jobs queued first; "
        "and how long a single job waits for its result while another customer's 10,000 wait and "
        "run.",
    )
    rates = part["jobs_per_second"].items()
    rows = [(name, *_spread(values, 0)) for name, values in rates]
    yield from _table(("jobs a second", "min", "median", "max"), rows)
    yield ""
    delays = part["single_job_seconds"].items()
    rows = [(name, *_spread([1000 * value for value in values], 0)) for name, values in delays]
    yield from [*_table(("a single job, ms", "min", "median", "max"), rows), ""]


def _waiters(part: Results) -> Iterator[str]:
    yield from _heading(
        "Waiters",
        "Long-polls in one web process. An event is one job's end: from the bell to its caller's "
        "answer, one event after the other.",
    )
    rows = [
        (
            f"{each['waiters']:,}",
            f"{each['rss_kib_each']:.1f}" if each["waiters"] >= 100 else "",
            f"{each['idle_cpu_percent']:.1f}",
            f"{each['event_p50_ms']:.1f}",
            f"{each['event_p99_ms']:.1f}",
        )
        for each in part["figures"]
    ]
    columns = ("waiters", "RSS KiB each", "idle CPU %", "event p50 ms", "event p99 ms")
    yield from [*_table(columns, rows), ""]


def _memory(part: Results) -> Iterator[str]:
    yield from _heading(
        "Memory",
        "PSS divides the pages that processes share among them. Bytes in Redis: of a no-op job "
        "while it is queued, once it has ended, and when all that Redis keeps for a limited time "
        "is over.",
    )
    rows = [
        (each["process"], f"{each['rss_mib']:.0f}", f"{each['pss_mib']:.0f}")
        for each in part["processes"]
    ]
    yield from [*_table(("process", "RSS MiB", "PSS MiB"), rows), ""]
    rows = [
        (name, *(f"{found[key]:,.0f}" for key in ("queued", "ended", "after_its_lifetime")))
        for name, found in part["redis_bytes"].items()
    ]
    columns = ("Redis, bytes a job", "queued", "ended", "after its lifetime")
    yield from [*_table(columns, rows), ""]


def _alerts(part: Results) -> Iterator[str]:
    storm = part["storm"]
    yield from _heading(
        "Alerts",
        "One `logger.exception` without any other handler, its traceback described for the first "
        "ten of a second. Requests that each log an error, beside a Slack that accepts connections "
        f"and never answers. A storm: {storm['logged']:,.0f} errors of three bugs from four "
        f"processes in {storm['seconds']:.0f} s were counted as {storm['counted']:,} in "
        f"{storm['groups']} groups; no process grew by more than {storm['growth_mib']:.1f} MiB.",
    )
    rows = [(name, *_spread(costs, 1)) for name, costs in part["cost_us"].items()]
    yield from [*_table(("µs an error", "min", "median", "max"), rows), ""]
    rows = [
        (name, *_spread(found["p50_ms"], 1), *_spread(found["p99_ms"], 1))
        for name, found in part["requests"].items()
    ]
    columns = ("ms a request", "p50 min", "median", "max", "p99 min", "median", "max")
    yield from [*_table(columns, rows), ""]


def _accounts(part: Results) -> Iterator[str]:
    yield from _heading(
        "Telling who calls",
        "Processor time of a request's authentication, from its header to whose jobs there are for "
        "it; the ledger is SQLite. A verdict is remembered for 5 s.",
    )
    rows = [(name, *_spread(values, 1)) for name, values in part["microseconds"].items()]
    yield from [*_table(("µs", "min", "median", "max"), rows), ""]


def _metrics(part: Results) -> Iterator[str]:
    yield from _heading(
        "Metrics",
        "One web worker that is always busy, and one worker on SQLite, with `metrics.port` null "
        "and set. A scrape over HTTP, connection included, beside "
        f"{part['stored_jobs']:,} stored jobs.",
    )
    rows = []
    for name, of_kinds in part["microseconds"].items():
        plain = median(of_kinds["without metrics"])
        for words, costs in of_kinds.items():
            rows.append((name, words, *_spread(costs, 1), f"{median(costs) / plain:.3f}"))
    columns = ("µs", "", "min", "median", "max", "to without")
    yield from [*_table(columns, rows), ""]
    rows = [(role, *_spread(found, 1)) for role, found in part["scrape_ms"].items()]
    yield from [*_table(("ms a scrape", "min", "median", "max"), rows), ""]


def _cli(part: Results) -> Iterator[str]:
    yield from _heading(
        "The command line", "From start to exit, help printed and nothing else done."
    )
    found = part["milliseconds"]
    rows = [
        (
            f"`{name}`",
            *_spread(values, 0),
            *(f"{median(values) / median(found[bare]):.2f}" for bare in (PYTHON, CLICK)),
        )
        for name, values in found.items()
    ]
    columns = ("ms", "min", "median", "max", "to Python alone", "to click alone")
    yield from [*_table(columns, rows), ""]


def _heading(title: str, text: str, picture: str = "") -> Iterator[str]:
    yield from (f"## {title}", "", text, "")
    if picture:
        yield from (f"![{title}]({picture})", "")


def _footer(part: Results, run: Results) -> Iterator[str]:
    for name, why in part.get("not_measured", {}).items():
        yield f"Not measured: {name}: {' '.join(why.split())}"
        yield ""
    if part["measured_on"] != run["measured_on"]:
        command = part.get("command", "make bench")
        yield f"Measured by `{command}` on {part['measured_on']}."
        yield ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(str(cell) for cell in row)} |"


def _spread(values: Sequence[float], digits: int) -> tuple[str, str, str]:
    return (
        f"{min(values):,.{digits}f}",
        f"{median(values):,.{digits}f}",
        f"{max(values):,.{digits}f}",
    )


def _ratio(values: Sequence[float], yardstick: Any) -> str:
    try:
        return f"{median(values) / yardstick():.2f}"
    except (KeyError, StopIteration, ValueError, ZeroDivisionError):
        return ""


def _yes(met: bool) -> str:
    return "yes" if met else "no"
