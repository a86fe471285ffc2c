from __future__ import annotations

import subprocess
import sys

WITHOUT_THE_SERVICE = """
import sys
from importlib.metadata import packages_distributions

loaded = set(sys.modules)  # by a coverage measurement, if by anything
needed = {"jobresults", "requests", "backoff", "urllib3", "certifi", "idna", "charset-normalizer"}
for package, distributions in packages_distributions().items():
    if not needed.intersection(distributions) and package not in loaded:
        sys.modules[package] = None

from jobresults import Client

Client("http://127.0.0.1:8000", "key")
print(*sorted(name for name in sys.modules if name.startswith("jobresults")))
for heavy in ("flask", "rq", "sqlalchemy", "redis", "pydantic", "gevent", "yaml", "click"):
    assert heavy in loaded or sys.modules[heavy] is None, heavy
"""


def test_the_client_needs_none_of_the_service() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_THE_SERVICE],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    packages = {".".join(name.split(".")[:2]) for name in done.stdout.split()}
    assert packages == {"jobresults", "jobresults.client"}
