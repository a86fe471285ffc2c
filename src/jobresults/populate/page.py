"""A report as one HTML page that needs nothing else, in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from jobresults.populate import plots
from jobresults.populate.report import Report

_DRAWN = ("result", "submit")
_MOST_FINDINGS = 100
_QUANTILES = ("mean", "p50", "p95", "p99", "p999", "max")


def page_of(report: Report) -> str:
    """The whole page."""
    parts = [
        *_head(report),
        *_tiles(report),
        *_plots(report),
        *_latencies(report),
        *_counted("Errors, each tried again", report["errors"]),
        *_counted("How jobs ended", report["jobs"]["ended"]),
        *_findings(report),
        *_options(report),
    ]
    style = files("jobresults.populate").joinpath("page.css").read_text(encoding="utf-8")
    title = f"populate {escape(report['destination'])}"
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}</style>\n" + "\n".join(parts) + "\n</html>\n"
    )


def _head(report: Report) -> Iterable[str]:
    version, when = escape(report["service_version"]), escape(report["began_at"])
    yield "<h1>Load with every answer checked</h1>"
    yield (
        f'<p class="faint">{escape(report["destination"])}, jobresults {version}, {when}, '
        f"{report['load_seconds']:,.1f} s of load</p>"
    )
    bad = " bad" if report["exit_code"] else ""
    yield f'<p class="verdict{bad}">{escape(report["verdict"])}</p>'


def _tiles(report: Report) -> Iterable[str]:
    jobs, latencies = report["jobs"], report["latencies_ms"]
    yield '<div class="tiles">'
    yield _tile(f"{jobs['accepted']:,}", "jobs accepted")
    yield _tile(f"{jobs['accepted_per_second']:,}", "jobs a second")
    yield _tile(f"{report['requests_per_second']:,}", "requests a second")
    yield _tile(f"{report['verified_answers']:,}", "answers verified")
    if "result" in latencies:
        yield _tile(plots.said(latencies["result"]["p50"]), "until the result, median")
    yield "</div>"


def _tile(value: str, name: str) -> str:
    return f'<div><b>{value}</b><span class="faint">{name}</span></div>'


def _plots(report: Report) -> Iterable[str]:
    timeline = report["timeline"]
    names = ("accepted", "ended", *(["errors"] if report["errors"] else []))
    lines = {name: timeline[name] for name in names}
    yield plots.rates("Jobs a second", lines, report["total_seconds"])
    for name in _DRAWN:
        if name in report["latencies_ms"]:
            yield plots.durations(f"Time until {_called(name)}", report["latencies_ms"][name])


def _called(name: str) -> str:
    return {"result": "the result", "submit": "a submission is accepted"}[name]


def _latencies(report: Report) -> Iterable[str]:
    yield "<h2>How long each took, in ms</h2>"
    yield (
        '<p class="faint">Counted from when it was due, not from when it was sent, and with all '
        "retries. <code>hold</code> and <code>submit and wait</code> are held by the service until "
        "the job ends.</p>"
    )
    rows = [
        [name, f"{each['count']:,}", *(f"{each[quantile]:,.1f}" for quantile in _QUANTILES)]
        for name, each in report["latencies_ms"].items()
    ]
    yield _table(["", "count", *_QUANTILES], rows)
    late = report["late_requests_ms"]
    if late["count"]:
        yield (
            f'<p class="faint">Requests left {late["p50"]:,.1f} ms (median) and '
            f"{late['p99']:,.1f} ms (p99) after they were due: if that is much, the load's own "
            "machine was busy, or <code>--concurrency</code> too low.</p>"
        )


def _counted(title: str, counts: dict[str, int]) -> Iterable[str]:
    if counts:
        yield f"<h2>{title}</h2>"
        yield _table(["", "count"], [[name, f"{count:,}"] for name, count in counts.items()])


def _findings(report: Report) -> Iterable[str]:
    audit = report["audit"]
    yield "<h2>Wrong, lost and repeated answers</h2>"
    yield (
        f"<p>At the end {audit['asked']:,} accepted jobs were asked for"
        f"{'' if audit['complete'] else ', which is not all'}; "
        f"{audit['unfinished']:,} had not ended.</p>"
    )
    named = report["findings"]["named"]
    if not named:
        yield "<p>None.</p>"
        return
    rows = [[each["kind"], each["job_id"], each["detail"]] for each in named[:_MOST_FINDINGS]]
    yield _table(["kind", "job", "what"], rows, kind="text")
    if len(named) > _MOST_FINDINGS:
        yield f'<p class="faint">The JSON report names {len(named):,}.</p>'


def _options(report: Report) -> Iterable[str]:
    yield "<h2>The load</h2>"
    options = {name: value for name, value in report["options"].items() if value is not None}
    rows = [[name.replace("_", " "), _said(value)] for name, value in options.items()]
    yield _table(["", ""], rows, kind="text")


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return f"{value}"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows
    )
    return f'<div class="wide"><table class="{kind}"><tr>{head}</tr>\n{body}</table></div>'
