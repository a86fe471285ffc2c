"""Writes each dashboard's `.json`: `make dashboards`."""

from monitoring.dashboards.description import DIRECTORY, boards
from monitoring.dashboards.grafana import document

for name, board in boards().items():
    (DIRECTORY / f"{name}.json").write_text(document(board), encoding="utf-8")
