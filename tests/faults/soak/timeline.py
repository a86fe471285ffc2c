"""A soak as one HTML page without outside parts: processes, attempts and jobs over time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html import escape
from itertools import pairwise

from tests.faults.soak.soak import Verdict
from tests.faults.soak.supervisor import Mark

_WIDTH, _LEFT, _LANE, _CHART = 1400, 130, 26, 160
_POINTS = 400
_AFTER = {
    "started": "up",
    "continued": "up",
    "stop": "stopped",
    "web worker stop": "stopped",
    "terminate": "ending",
    "kill": "down",
    "ended": "down",
    "died": "down",
}
_STATES = ("succeeded", "failed", "canceled", "running", "queued")
_STATE_AFTER = {
    "submitted": "queued",
    "started": "running",
    "retried": "queued",
    "requeued": "queued",
    **{state: state for state in ("succeeded", "failed", "canceled")},
}
_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em; color: #223 }
pre { background: #f4f5f8; padding: 1em; overflow-x: auto }
svg { font-size: 12px; max-width: 100%; height: auto }
.up { fill: #cfe8d5 } .down { fill: #f3c6c6 } .stopped { fill: #d9d3ec } .ending { fill: #f7e3b5 }
.succeeded { fill: #4a9a5e } .failed { fill: #b8433f } .canceled { fill: #888 }
.running { fill: #3f72b8 } .queued { fill: #e3c14f } .lost { fill: #111 }
.blow { stroke: #a00; stroke-width: 2 } .grid { stroke: #ccd } text { fill: #223 }
"""


def page(verdict: Verdict, database: str) -> str:
    """The whole document."""
    title = f"Soak with seed {verdict.plan.seed} on {database}"
    states = "".join(
        _legend(name) for name in (*_STATES, "lost", "up", "ending", "stopped", "down")
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1><pre>{escape(verdict.summary())}</pre>"
        f"<p>{states}</p>{_Drawing(verdict).svg()}</html>\n"
    )


def _legend(name: str) -> str:
    box = f'<rect class="{name}" width="12" height="12"/>'
    return f'<svg width="12" height="12">{box}</svg> {name} &ensp; '


class _Drawing:
    def __init__(self, verdict: Verdict) -> None:
        self._stories = verdict.stories
        self._lanes: dict[str, list[Mark]] = defaultdict(list)
        for mark in verdict.marks:
            if mark.lane:
                self._lanes[mark.lane].append(mark)
        times: list[int] = [
            event.at_ms for story in self._stories.values() for event in story.events
        ]
        times += [mark.at_ms for mark in verdict.marks]
        self._begin_ms: int = min(times)
        self._end_ms: int = max(times)
        self._top = {lane: number * _LANE for number, lane in enumerate(self._lanes)}

    def svg(self) -> str:
        height = len(self._lanes) * _LANE + _CHART + 40
        parts = (*self._grid(height), *self._processes(), *self._attempts(), *self._blows())
        chart = "".join(self._chart(len(self._lanes) * _LANE + 10))
        return f'<svg viewBox="0 0 {_WIDTH} {height}">{"".join(parts)}{chart}</svg>'

    def _x(self, at_ms: float) -> float:
        share = (at_ms - self._begin_ms) / max(1, self._end_ms - self._begin_ms)
        return round(_LEFT + share * (_WIDTH - _LEFT - 10), 1)

    def _bar(
        self, kind: str, from_ms: int, to_ms: int, top: float, height: float, title: str
    ) -> str:
        x = self._x(from_ms)
        width = max(0.5, round(self._x(to_ms) - x, 1))
        box = f'x="{x}" y="{top}" width="{width}" height="{height}"'
        return f'<rect class="{kind}" {box}><title>{escape(title)}</title></rect>'

    def _grid(self, height: int) -> Iterator[str]:
        for second in range(0, (self._end_ms - self._begin_ms) // 1000 + 1, 10):
            x = self._x(self._begin_ms + second * 1000)
            yield f'<line class="grid" x1="{x}" x2="{x}" y1="0" y2="{height - 18}"/>'
            yield f'<text x="{x + 2}" y="{height - 5}">{second} s</text>'

    def _processes(self) -> Iterator[str]:
        for lane, marks in self._lanes.items():
            yield f'<text x="0" y="{self._top[lane] + 16}">{lane}</text>'
            changes = [(mark.at_ms, _AFTER[mark.event]) for mark in marks if mark.event in _AFTER]
            if lane == "ledger":  # it comes back by itself
                changes = [(self._begin_ms, "up")]
            for (from_ms, kind), (to_ms, _) in pairwise([*changes, (self._end_ms, "")]):
                yield self._bar(
                    kind, from_ms, to_ms, self._top[lane] + 3, _LANE - 6, f"{lane} {kind}"
                )

    def _attempts(self) -> Iterator[str]:
        """What each worker ran, in the colour of how it ended."""
        lane_of = {
            mark.pid: mark.lane
            for marks in self._lanes.values()
            for mark in marks
            if mark.event == "started" and mark.lane.startswith("worker")
        }
        for job_id, story in self._stories.items():
            for begin, end, pid, _ in story.attempts():
                kind = "lost" if "worker_lost" in end.detail else _STATE_AFTER[end.event]
                title = f"{job_id} attempt {begin.attempt}: {end.event} {end.detail}"
                top = self._top[lane_of[pid]] + 7
                yield self._bar(kind, begin.at_ms, end.at_ms, top, _LANE - 14, title)

    def _blows(self) -> Iterator[str]:
        for lane, marks in self._lanes.items():
            for mark in marks:
                if mark.event not in ("started", "continued", "ended"):
                    x, top = self._x(mark.at_ms), self._top[lane]
                    second = (mark.at_ms - self._begin_ms) / 1000
                    ends = f'x1="{x}" x2="{x}" y1="{top + 1}" y2="{top + _LANE - 2}"'
                    yield (
                        f'<line class="blow" {ends}>'
                        f"<title>{second:.1f} s: {lane} {mark.event}</title></line>"
                    )

    def _chart(self, top: int) -> Iterator[str]:
        """How many jobs are in each state, stacked."""
        yield f'<text x="0" y="{top + 16}">jobs by state</text>'
        changes = sorted(
            (event.at_ms, job_id, _STATE_AFTER[event.event])
            for job_id, story in self._stories.items()
            for event in story.events
            if event.event in _STATE_AFTER
        )
        now: dict[str, str] = {}
        step = (self._end_ms - self._begin_ms) / _POINTS
        for point in range(_POINTS):
            from_ms = self._begin_ms + point * step
            while changes and changes[0][0] <= from_ms:
                _, job_id, state = changes.pop(0)
                now[job_id] = state
            bottom = float(top + _CHART)
            for state in _STATES:
                height = round(list(now.values()).count(state) / len(self._stories) * _CHART, 1)
                bottom -= height
                if height:
                    yield self._bar(state, int(from_ms), int(from_ms + step), bottom, height, state)
