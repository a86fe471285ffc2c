"""Has coverage follow greenlets where there are any, which makes each call of a function dearer."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from coverage import CoveragePlugin
from coverage.plugin_support import Plugins
from coverage.types import TConfigurable

_RUN_GREENLETS = ("gevent", "gunicorn", "pywsgi_server")


class GreenletCoverage(CoveragePlugin):
    """Asked as coverage starts, in each process anew."""

    def configure(self, config: TConfigurable) -> None:
        config.set_option("run:concurrency", concurrency_of(sys.orig_argv))


def concurrency_of(command: Sequence[str]) -> list[str]:
    """What coverage must follow in a process that was started so. Where greenlets are not
    followed, what one does after a switch is counted for another one's file, or not at all.
    """
    has_greenlets = any(name in word for word in command for name in _RUN_GREENLETS)
    return ["gevent", "thread"] if has_greenlets else ["thread"]


def coverage_init(plugins: Plugins, options: object) -> None:
    """Called by coverage, by this name."""
    plugins.add_configurer(GreenletCoverage())
