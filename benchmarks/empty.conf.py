"""gunicorn's settings for the yardstick: the service's own, without its hook."""

from pathlib import Path
from runpy import run_path

globals().update(run_path(str(Path(__file__).parent.parent / "gunicorn.conf.py")))
del post_worker_init  # noqa: F821 - it came with the update
workers = 1
