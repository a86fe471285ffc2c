"""Callers of the service in the pictures, each in a thread of its own."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

EXAMPLES = Path(__file__).parents[2] / "examples"
_NOBODYS_JOB = "01948f2e-7a1b-7c3d-8e4f-0123456789ab"
_CUSTOMERS = ("acme", "globex", "initech", "umbrella")


class Callers:
    """They call until `stop`. Something is wrong with thumbnails for a while in the middle."""

    def __init__(self, url: str, key: str, seconds: float, callback_url: str) -> None:
        self._url, self._callback_url = url, callback_url
        self._headers = {"Authorization": f"Bearer {key}"}
        self._began, self._seconds = time.monotonic(), seconds
        self._stop = threading.Event()
        parts: list[tuple[Callable[[requests.Session, random.Random], None], float]] = [
            *[(self._thumbnail, 0.25)] * 4,
            *[(self._score, 0.4)] * 2,
            (self._report, 2.0),
            (self._look_around, 1.5),
            (self._mistake, 2.5),
            (self._burst, 70.0),
        ]
        self._threads = [
            threading.Thread(target=self._call, args=(part, pause, number), daemon=True)
            for number, (part, pause) in enumerate(parts)
        ]

    def start(self) -> None:
        """Begin to call."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish the calls that are under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _call(
        self, part: Callable[[requests.Session, random.Random], None], pause: float, number: int
    ) -> None:
        chance = random.Random(number)
        session = requests.Session()
        session.headers.update(self._headers)
        while not self._stop.wait(chance.uniform(0.2, 1.8) * pause):
            try:
                part(session, chance)
            except requests.RequestException:
                self._stop.wait(1)

    def _is_troubled(self) -> bool:
        return 0.5 < (time.monotonic() - self._began) / self._seconds < 0.7

    def _thumbnail(self, session: requests.Session, chance: random.Random) -> None:
        faults = ["error"] * 6 + ["killed"] if self._is_troubled() else ["refused"]
        share = 0.25 if self._is_troubled() else 0.01
        fault = chance.choice(faults) if chance.random() < share else ""
        params = {"seconds": round(chance.lognormvariate(-2.2, 0.6), 3), "fault": fault}
        body = {"task": "thumbnail", "params": params, "customer": chance.choice(_CUSTOMERS)}
        if chance.random() < 0.2:
            body["callback_url"] = self._callback_url
        job_id = session.post(f"{self._url}/v1/jobs", json=body, timeout=30).json()["job_id"]
        result = f"{self._url}/get_result?job_id={job_id}"
        session.get(f"{result}&wait=10", timeout=30)
        session.get(result, timeout=30)

    def _score(self, session: requests.Session, chance: random.Random) -> None:
        customer = chance.choice(("salaried", "overdrawn", "irregular", "heavy"))
        data = json.loads((EXAMPLES / f"{customer}.json").read_text())
        session.post(f"{self._url}/add/{customer}", json=data, timeout=30)
        session.get(f"{self._url}/score?cust_id={customer}", timeout=30)

    def _report(self, session: requests.Session, chance: random.Random) -> None:
        body = {"task": "report", "params": {"seconds": chance.uniform(0.5, 3)}}
        session.post(f"{self._url}/v1/jobs", json=body, timeout=30)

    def _burst(self, session: requests.Session, chance: random.Random) -> None:
        jobs = [{"task": "thumbnail", "params": {"seconds": 0.15}} for _ in range(300)]
        session.post(f"{self._url}/v1/jobs", json=jobs, timeout=30)

    def _look_around(self, session: requests.Session, chance: random.Random) -> None:
        for path in ("/v1/jobs?limit=20", "/v1/queues", "/v1/alerts", "/status"):
            session.get(self._url + path, timeout=30)

    def _mistake(self, session: requests.Session, chance: random.Random) -> None:
        session.get(f"{self._url}/get_result?job_id={_NOBODYS_JOB}", timeout=30)
        session.post(f"{self._url}/v1/jobs", json={"task": "nothing"}, timeout=30)


class _Receiver(BaseHTTPRequestHandler):
    """Takes messages and callbacks; of these it refuses some."""

    _chance = random.Random(1)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        is_refused = self.path == "/callbacks" and self._chance.random() < 0.1
        time.sleep(self._chance.uniform(0.02, 0.2))
        self.send_response(503 if is_refused else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def receiver() -> Iterator[int]:
    """The port of a server that stands in for Slack and for the callers' own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
