"""Times and durations as people write and read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import click
import pytest

from jobresults.cli import times


def test_a_duration_is_a_number_with_its_unit() -> None:
    given = {"90": 90, "0": 0, "30s": 30, "1.5m": 90, "2h": 7_200, "1d": 86_400}
    for text, seconds in given.items():
        assert times.Duration().convert(text, None, None) == seconds
    for text in ("", "-1", "1 h", "h", "1y", "nan"):
        with pytest.raises(click.BadParameter):
            times.Duration().convert(text, None, None)


def test_a_moment_has_a_zone_and_may_be_told_by_how_long_ago_it_was() -> None:
    given = times.Moment().convert("2026-01-31T12:00:00+01:00", None, None)
    assert given == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert times.Since().convert("2026-01-31", None, None).utcoffset() is not None
    before = datetime.now(UTC) - timedelta(hours=2)
    ago = times.Since().convert("2h", None, None)
    assert before <= ago <= datetime.now(UTC) - timedelta(hours=2)
    for kind, text in [
        (times.Moment(), "2h"),
        (times.Since(), "7"),
        (times.Since(), "9" * 12 + "w"),
    ]:
        with pytest.raises(click.BadParameter):
            kind.convert(text, None, None)


def test_a_span_has_the_digits_that_matter() -> None:
    spans = [0.04, 9.9, 11.6, 119, 150, 7_199, 7_201, 604_800]
    told = ["40 ms", "9.9 s", "12 s", "119 s", "2 min", "120 min", "2 h", "7 days"]
    assert [times.span(seconds) for seconds in spans] == told
    assert times.ago(None) == "-"
    assert times.ago("2999-01-01T00:00:00.000Z") == "0 ms"
