"""An endpoint whose every request fails and logs it; BENCH_ALERTS says who is told, and how."""

import contextlib
import logging
import os
import urllib.request

from jobresults.alerts.handler import AlertHandler
from jobresults.alerts.start import start_alerts
from jobresults.configuration import load_settings

_HEADERS = [("Content-Type", "text/plain"), ("Content-Length", "2")]
log = logging.getLogger("benchmark")
log.propagate = False


class PostingHandler(logging.Handler):
    """The usual recipe: a POST to Slack in `emit`."""

    def emit(self, record):
        text = self.format(record).encode()
        request = urllib.request.Request(os.environ["BENCH_WEBHOOK"], text)
        with contextlib.suppress(OSError):
            urllib.request.urlopen(request, timeout=1).close()


def _handler():
    kind = os.environ["BENCH_ALERTS"]
    if kind == "ours":
        start_alerts(load_settings())
        return AlertHandler()
    return PostingHandler() if kind == "posting" else logging.NullHandler()


log.addHandler(_handler())


def app(environ, start_response):
    try:
        {}["missing"]
    except KeyError:
        log.exception("request failed")
    start_response("200 OK", _HEADERS)
    return [b"ok"]
