"""Where the `jobresults` program begins: it runs, or says what it needs to."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    try:
        from jobresults.cli.main import main as command
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.exit("Error: the jobresults command needs its extra: pip install 'jobresults[cli]'")
    command(prog_name="jobresults")
