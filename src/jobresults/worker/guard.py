"""Who kills a worker with SIGKILL leaves its executor behind, and what its tasks have started. A
guard sees to it that they end as well.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress

# Reads the process groups to end, line by line, the last line counts; the end of its input is the
# end of the worker. A shell, for it is there wherever Python is, and takes a megabyte.
_SCRIPT = """
trap '' HUP INT TERM
groups=
while read -r line; do groups=$line; done
for group in $groups; do kill -s KILL -- "-$group"; done 2>/dev/null
"""


class Guard:
    """A process that outlives this one for a moment. Linux' death signal is faster, but reaches the
    executor alone, and other systems have none.
    """

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # nosec B603  # noqa: S603 - no word of it comes from outside
            ["/bin/sh", "-c", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._watched: tuple[int, ...] = ()

    def watch(self, groups: Iterable[int]) -> None:
        """Name the process groups that are to end with this process."""
        wanted = tuple(groups)
        if wanted == self._watched or self._process.stdin is None:
            return
        self._watched = wanted
        with suppress(BrokenPipeError):  # someone has killed it: the death signal is left
            self._process.stdin.write((" ".join(map(str, wanted)) + "\n").encode())
            self._process.stdin.flush()

    def release_in_child(self) -> None:
        """In a forked process: let go of the pipe, or its end is never seen."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        self._process.returncode = 0  # not ours to wait for

    def dismiss(self) -> None:
        """This process ends in order, and nothing is left to end."""
        self.watch(())
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        self._process.wait()


def lead_group(pid: int) -> None:
    """Make a child just forked the leader of a group of its own. It does so itself as well:
    whoever comes first, there is a group before anybody kills it.
    """
    with suppress(ProcessLookupError, PermissionError):  # it has left
        os.setpgid(pid, pid)


def kill_group(pid: int) -> None:
    """SIGKILL for a process and for all it has started."""
    with suppress(ProcessLookupError, PermissionError):  # gone, and maybe another's by now
        os.killpg(pid, signal.SIGKILL)
