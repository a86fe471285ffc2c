"""Tasks that say something in every way Python has."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jobresults import current_job, task

_pool = ThreadPoolExecutor(1)  # outlives the jobs


def prints(_: str) -> None:
    print("to stdout")
    print("to", "stderr", file=sys.stderr, flush=True)
    sys.stdout.writelines(["two ", "pieces\n", "\n"])
    print("without an end", end="")


def logs(_: str) -> None:
    library = logging.getLogger("some.library")
    library.debug("not kept")
    library.info("password=%s", "hunter2hunter2")
    library.warning("two\nlines")


def warns(_: str) -> None:
    warnings.warn("this is old", stacklevel=1)
    if current_job().attempt == 1:
        raise ValueError("once more")


def prints_junk(_: str) -> None:
    sys.stdout.buffer.write(b"\xff\x00\xc3")
    sys.stdout.buffer.write(b"\xa4\n")
    print("\x1b[31mred\x1b[0m\ttab")
    print("\x1b]0;title\x07\u202e")
    for percent in range(3):
        print(f"\r{percent} %", end="")
    print("\r\n", end="")
    print("dos\r")
    print("x" * 1_000_000)


def prints_from_threads(_: str) -> None:
    def say(number: int) -> None:
        for line in range(3):
            print("thread", number, "line", line)

    threads = [threading.Thread(target=say, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def prints_in_pool(text: str) -> None:
    _pool.submit(print, text).result()


def leaves_a_thread(directory: str) -> None:
    def say_late() -> None:
        while not Path(directory, "go").exists():
            time.sleep(0.005)
        print("late words")
        logging.getLogger("late").warning("late record")
        threading.Thread(target=print, args=("late child",)).start()
        Path(directory, "said").touch()

    threading.Thread(target=say_late, daemon=True).start()
    print("started")


def waits_for_late_words(directory: str) -> None:
    Path(directory, "go").touch()
    while not Path(directory, "said").exists():
        time.sleep(0.005)
    print("mine")


def bypasses_python(_: str) -> None:
    os.write(1, b"by its descriptor\n")
    subprocess.run(["echo", "by a program"], check=True)
    if (child := os.fork()) == 0:
        print("by a fork", flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print("by Python")


def is_killed_talking(_: str) -> None:
    for number in range(100):
        print("line", number)
    os.kill(os.getpid(), signal.SIGKILL)


def has_a_handler_that_prints(_: str) -> None:
    class Printing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            print("handled:", record.getMessage())

    handler = Printing()
    logging.getLogger().addHandler(handler)
    logging.getLogger("some.library").info("once")
    logging.getLogger().removeHandler(handler)


def spoils_its_streams(_: str) -> None:
    logging.getLogger().handlers = [
        handler for handler in logging.getLogger().handlers if "JobLog" not in repr(handler)
    ]
    print("before")
    sys.stdout.close()
    sys.stdout = io.StringIO()
    print("into nothing")


def prints_much(lines: str) -> None:
    for number in range(int(lines)):
        print(f"line {number}")


def _talk(how: str, argument: str) -> None:
    known: dict[str, Callable[[str], None]] = {
        name: value for name, value in globals().items() if callable(value)
    }
    known[how](argument)


@task(name="talks_by", max_attempts=2)
def talks_by(how: str, argument: str = "") -> None:
    """Say something in that way."""
    _talk(how, argument)


@task(name="talks_alone_by", max_attempts=2, isolation="process")
def talks_alone_by(how: str, argument: str = "") -> None:
    """The same in a process of its own."""
    _talk(how, argument)
