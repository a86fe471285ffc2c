"""gevent's own server (`python -m jobresults.web.pywsgi_server`): one process, for small
installations.
"""

from gevent import monkey

monkey.patch_all()

import importlib  # noqa: E402
import signal  # noqa: E402

import gevent  # noqa: E402
from gevent import pywsgi  # noqa: E402

from jobresults.alerts.start import start_alerts  # noqa: E402
from jobresults.configuration import load_settings  # noqa: E402
from jobresults.telemetry.logging_setup import configure_logging  # noqa: E402


def main() -> None:
    """Serve until SIGTERM, then let requests finish within the grace."""
    settings = load_settings()
    configure_logging(settings, "web")
    start_alerts(settings)
    app = importlib.import_module("wsgi_app").app
    # pywsgi's own access lines would hold query strings.
    server = pywsgi.WSGIServer((settings.web.host, settings.web.port), app, log=None)

    def stop(*_: object) -> None:
        app.extensions["jobresults"].bell.drain()
        server.stop(timeout=settings.web.graceful_timeout_seconds)

    gevent.signal_handler(signal.SIGTERM, stop)
    gevent.signal_handler(signal.SIGINT, stop)
    server.serve_forever()


if __name__ == "__main__":
    main()
