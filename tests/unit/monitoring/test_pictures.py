"""The pictures of the dashboards in the documents, and what draws them."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from monitoring.dashboards.description import boards
from monitoring.pictures.drawing import draw
from monitoring.pictures.figures import said, ticks
from monitoring.pictures.readings import Reading, Window

PICTURES = Path(__file__).parents[3] / "docs/pictures"


def texts(svg: str) -> str:
    """All that is written in a picture."""
    return " ".join(element.text or "" for element in ElementTree.fromstring(svg).iter())


@pytest.mark.parametrize("name", ["alerts", "jobs", "overview", "web"])
def test_the_pictures_show_the_panels_there_are(name: str) -> None:
    board = boards()[name]
    shown = texts((PICTURES / f"dashboard-{name}.svg").read_text(encoding="utf-8"))
    for row in board.rows:
        assert row.title in shown
        for panel in () if row.collapsed else row.panels:
            assert panel.title in shown, "make pictures"


def test_a_panel_without_data_says_so() -> None:
    for board in boards().values():
        panels = [panel for row in board.rows if not row.collapsed for panel in row.panels]
        readings = [Reading(numbers=[None] * len(panel.queries)) for panel in panels]
        shown = texts(draw(board, readings, Window(0, 400)))
        assert shown.count("no data") == sum(panel.kind == "stat" for panel in panels)
        charts = sum(panel.kind in ("lines", "stack") for panel in panels)
        assert shown.count("nothing in this time") == charts


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.9987, "percentunit", "99.9 %"),
        (0.0042, "s", "4.2 ms"),
        (90, "s", "1.5 min"),
        (3 * 2**20, "bytes", "3 MiB"),
        (12.34, "reqps", "12.3 req/s"),
        (14.4, "suffix:×", "14.4×"),
        (1_234_567, "short", "1.23M"),
        (0, "s", "0 s"),
    ],
)
def test_numbers_are_said_with_their_unit(value: float, unit: str, text: str) -> None:
    assert said(value, unit) == text


def test_axes_have_round_numbers() -> None:
    assert ticks(0.93, "short") == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert ticks(3000, "bytes") == [0, 1024, 2048, 3072]
    assert ticks(0, "short")[-1] > 0
