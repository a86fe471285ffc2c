"""The picture in the documents shows what the service really sends."""

from __future__ import annotations

import importlib.util
from pathlib import Path

PICTURES = Path(__file__).parents[3] / "docs/pictures"


def test_the_picture_of_an_alert_is_current() -> None:
    spec = importlib.util.spec_from_file_location("alert_picture", PICTURES / "alert.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    current = (PICTURES / "alert.svg").read_text(encoding="utf-8")
    assert module.draw() == current, "run .venv/bin/python docs/pictures/alert.py"
