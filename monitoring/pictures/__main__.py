"""Runs the service under load for some minutes, asks Prometheus what the panels ask, and draws
`docs/pictures/dashboard-*.svg`.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import requests

from monitoring.dashboards.description import boards
from monitoring.pictures.drawing import draw
from monitoring.pictures.load import Callers, receiver
from monitoring.pictures.processes import ROOT, prometheus, service
from monitoring.pictures.readings import Prometheus, Window

SECONDS = float(os.environ.get("SECONDS_OF_LOAD", "420"))
_WARM_UP_SECONDS = 20

with tempfile.TemporaryDirectory(prefix="jr-pictures-") as name, receiver() as port:
    directory = Path(name)
    with service(directory, port) as (url, key), prometheus(directory) as prometheus_url:
        headers = {"Authorization": f"Bearer {key}"}
        requests.post(f"{url}/v1/callback-secret", headers=headers, timeout=10).raise_for_status()
        callers = Callers(url, key, SECONDS, f"http://127.0.0.1:{port}/callbacks")
        callers.start()
        start = time.time() + _WARM_UP_SECONDS
        print(f"recording for {SECONDS:.0f} s", flush=True)
        time.sleep(SECONDS)
        window = Window(start, time.time())
        for board_name, board in boards().items():
            readings = Prometheus(prometheus_url, window).read(board)
            file = ROOT / f"docs/pictures/dashboard-{board_name}.svg"
            file.write_text(draw(board, readings, window), encoding="utf-8")
            print(file.relative_to(ROOT))
        callers.stop()
