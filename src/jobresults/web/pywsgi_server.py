"""gevent's own server (`python -m jobresults.web.pywsgi_server`): one process, for small
installations.
"""

from gevent import monkey

monkey.patch_all()

from jobresults.web import metric_files  # noqa: E402

metric_files.install()  # before anything declares a metric

import gc  # noqa: E402
import importlib  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from gevent import pywsgi  # noqa: E402

from jobresults.alerts.start import start_alerts  # noqa: E402
from jobresults.configuration import load_settings  # noqa: E402
from jobresults.errors import ConfigurationError  # noqa: E402
from jobresults.telemetry.logging_setup import configure_logging  # noqa: E402
from jobresults.web.hub_lag import watch_hub_lag  # noqa: E402
from jobresults.web.metrics_master import WRONG_SETTING, WebMetrics, start  # noqa: E402
from jobresults.web.request_counts import RequestCounts  # noqa: E402

_LOOK_SECONDS = 1.0


class CountingHandler(pywsgi.WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """Counts requests, as gunicorn's workers do."""

    counts: RequestCounts

    def handle_one_response(self) -> None:
        """Called for each request."""
        self.counts.begin()
        try:
            super().handle_one_response()
        finally:
            self.counts.end()

    def log_request(self) -> None:
        """Called once it is answered."""
        seconds = self.time_finish - self.time_start
        self.counts.answered(self.environ, str(self.code), seconds)


def main() -> None:
    """Serve until SIGTERM, then let requests finish within the grace."""
    settings = load_settings()
    configure_logging(settings, "web")
    start_alerts(settings)
    try:
        metrics = start(settings.metrics)
    except ConfigurationError as error:
        print(f"Error: {error.detail}", file=sys.stderr)  # noqa: T201
        sys.exit(WRONG_SETTING)
    app = importlib.import_module("wsgi_app").app
    options: dict[str, Any] = {}
    if metrics is not None:
        CountingHandler.counts = app.extensions["request_counts"]
        options["handler_class"] = CountingHandler
        watch_hub_lag()
        threading.Thread(target=_keep_exporting, args=(metrics,), daemon=True).start()
    # pywsgi's own access lines would hold query strings.
    address = (settings.web.host, settings.web.port)
    server = pywsgi.WSGIServer(address, app, log=None, **options)

    def stop(*_: object) -> None:
        app.extensions["jobresults"].bell.drain()
        server.stop(timeout=settings.web.graceful_timeout_seconds)

    gevent.signal_handler(signal.SIGTERM, stop)
    gevent.signal_handler(signal.SIGINT, stop)
    gc.freeze()  # as gunicorn's workers do
    server.serve_forever()


def _keep_exporting(metrics: WebMetrics) -> None:
    while True:
        time.sleep(_LOOK_SECONDS)
        metrics.keep_exporting()


if __name__ == "__main__":
    main()
