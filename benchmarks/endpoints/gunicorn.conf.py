"""The service's own settings of gunicorn, its access log included, without its hooks."""

from pathlib import Path
from runpy import run_path

from gunicorn.config import KNOWN_SETTINGS

_ours = run_path(str(Path(__file__).parent.parent.parent / "gunicorn.conf.py"))
_known = {setting.name for setting in KNOWN_SETTINGS}
globals().update(
    {name: value for name, value in _ours.items() if name in _known and not callable(value)}
)
