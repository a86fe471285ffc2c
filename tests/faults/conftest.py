"""What fault tests have: the marker, and effects that can be counted."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest


class Effects:
    """What jobs of `leaves_a_mark` have done to the world."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "effects"

    @property
    def by_job(self) -> dict[str, list[int]]:
        """The attempts that had an effect, by job id."""
        found: dict[str, list[int]] = defaultdict(list)
        if self.path.exists():
            for line in self.path.read_text().splitlines():
                job_id, attempt = line.split()
                found[job_id].append(int(attempt))
        return dict(found)

    def params(self, gate: Path | None = None) -> dict[str, str | None]:
        """Parameters of a job that leaves its mark here, and runs until the gate is there."""
        return {"path": str(self.path), "gate": str(gate) if gate else None}


@pytest.fixture
def effects(tmp_path: Path) -> Effects:
    return Effects(tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here is a fault test, marked before `-m` selects."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.faults)
