"""gunicorn's settings, all from `config.yaml` (`web:`); gunicorn reads this file by itself when it
is in its folder.
"""

import gc
import os

from gevent import monkey

monkey.patch_all()

from jobresults.web import metric_files  # noqa: E402

metric_files.install()  # before anything declares a metric

import jobresults.web.app  # noqa: E402, F401
from jobresults.alerts.start import start_alerts  # noqa: E402
from jobresults.configuration import load_settings  # noqa: E402
from jobresults.telemetry.logging_setup import logging_dict  # noqa: E402
from jobresults.web.metrics_master import (  # noqa: E402, F401 - gunicorn finds its hooks by name
    child_exit,
    on_starting,
    post_fork,
    pre_fork,
    when_ready,
)

_settings = load_settings()
_web = _settings.web
start_alerts(_settings)  # gunicorn's own errors (WORKER TIMEOUT) are logged by its master

bind = f"[{_web.host}]:{_web.port}" if ":" in _web.host else f"{_web.host}:{_web.port}"
workers = _web.workers
worker_class = "jobresults.web.gunicorn_worker.Worker"
worker_connections = _web.worker_connections
max_requests = _web.max_requests
max_requests_jitter = _web.max_requests_jitter
timeout = _web.timeout_seconds
graceful_timeout = _web.graceful_timeout_seconds
# Short: an idle keep-alive connection holds the drain of a gevent worker for as long as this.
keepalive = _web.keepalive_seconds
limit_request_line = _web.limit_request_line_bytes
limit_request_fields = _web.limit_request_fields
forwarded_allow_ips = _web.forwarded_allow_ips
loglevel = _web.log_level
accesslog = "-"
logger_class = "jobresults.web.gunicorn_worker.AccessLogger"
logconfig_dict = logging_dict(_settings, "web")
# Each worker makes its own application, with its own connections and threads: nothing that is open
# may be inherited through the fork. Modules are: workers share the memory of what is loaded above.
preload_app = False
gc.freeze()  # else a worker's collections touch, and so copy, what it shares
# gunicorn would write a socket below the home directory, which a read-only container does not have.
control_socket_disable = True
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # nosec B108  # noqa: S108


def post_worker_init(worker):
    """Called in each worker once its application is loaded."""
    from jobresults.web.server import begin

    begin(worker)
