"""docs/doctor.md speaks of the checks there are."""

from __future__ import annotations

import re
from pathlib import Path

from jobresults.doctor.examination import CHECKS

DOCUMENT = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()
KINDS = {name for name, _ in CHECKS}


def test_the_table_and_the_example_name_every_check_and_no_other() -> None:
    table = re.findall(r"^\| `([a-z]+)", DOCUMENT, re.MULTILINE)
    example = re.findall(r"^(?:ok|warning|error) +([a-z]+)[.:a-z_]+", DOCUMENT, re.MULTILINE)
    assert set(table) | {"tracing"} == KINDS
    assert set(example) == KINDS
