"""A report as one HTML page that needs nothing else, in light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from jobresults.populate import plots
from jobresults.populate.report import Report

_DRAWN = ("result", "submit")
_MOST_FINDINGS = 100
_STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --faint: #59636e; --line: #d8dee4; --back: #fff;
  --card: #f6f8fa; --one: #1f6feb; --two: #1a7f37; --three: #cf222e; --good: #1a7f37; --bad: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --faint: #9198a1; --line: #30363d;
  --back: #0d1117; --card: #161b22; --one: #4493f8; --two: #3fb950; --three: #f85149;
  --good: #3fb950; --bad: #f85149; } }
body { max-width: 800px; margin: 2rem auto; padding: 0 1rem; background: var(--back);
  color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.4rem; margin-bottom: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }
p { margin: .3rem 0; } .faint { color: var(--faint); } code { font-size: .9em; }
.verdict { border-left: 4px solid var(--good); background: var(--card); padding: .6rem .9rem;
  margin: 1rem 0; font-weight: 600; } .verdict.bad { border-color: var(--bad); }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; } .tiles div { flex: 1 1 8rem;
  background: var(--card); border-radius: 6px; padding: .6rem .9rem; }
.tiles b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, table.text td, table.text th { text-align: left; }
.wide { overflow-x: auto; } svg { display: block; width: 100%; height: auto; margin: .8rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: var(--text); } svg text.faint { fill: var(--faint); }
svg .strong { font-weight: 600; } svg .grid { stroke: var(--line); }
svg .bar { fill: var(--one); opacity: .75; }
svg .mark { stroke: var(--text); stroke-dasharray: 3 3; } svg polyline { fill: none; }
svg .line0, svg .line1, svg .line2 { stroke-width: 2; stroke-linejoin: round; }
svg .line0 { stroke: var(--one); } svg .line1 { stroke: var(--two); } svg .line2 { stroke: var(--three); }
"""
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
    title = f"populate {escape(report['destination'])}"
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n" + "\n".join(parts) + "\n</html>\n"
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
        yield _tile(f"{latencies['result']['p50']:,.1f} ms", "until the result, median")
    yield "</div>"


def _tile(value: str, name: str) -> str:
    return f'<div><b>{value}</b><span class="faint">{name}</span></div>'


def _plots(report: Report) -> Iterable[str]:
    timeline = report["timeline"]
    lines = {name: timeline[name] for name in ("accepted", "ended", "errors")}
    yield plots.rates("Jobs and errors a second", lines, report["total_seconds"])
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
