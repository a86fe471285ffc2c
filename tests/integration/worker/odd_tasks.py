"""Tasks that behave in ways a worker must live with."""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from jobresults import current_job, task


def announce(directory: str, pid: int) -> None:
    """Let the test know a process."""
    (Path(directory) / f"{pid}.pid").touch()


def announced(directory: Path) -> list[int]:
    """The processes the test knows."""
    return [int(path.stem) for path in directory.glob("*.pid")]


@task(name="runs_until_told", timeout_seconds=60)
def runs_until_told(directory: str) -> int:
    """Announce the executor, then run until the test says so. Returns the attempt."""
    announce(directory, os.getpid())
    while not (Path(directory) / "go").exists():
        time.sleep(0.01)
    return current_job().attempt


@task(name="naps")
def naps(path: str) -> None:
    """Leave a mark, and take a little longer than a worker expects of small jobs."""
    with Path(path).open("a") as marks:
        marks.write(".")
    time.sleep(0.04)


@task(name="stops_when_asked", timeout_seconds=60)
def stops_when_asked(directory: str) -> str:
    """Run until someone cancels, and clean up."""
    announce(directory, os.getpid())
    while not current_job().cancel_requested:
        time.sleep(0.01)
    (Path(directory) / "cleaned").touch()
    return "stopped"


@task(name="computes_in_c", timeout_seconds=0.2, max_attempts=1)
def computes_in_c() -> str:
    """Spend minutes in one call into C, which sees no signal."""
    return hashlib.pbkdf2_hmac("sha512", b"password", b"salt", 2**31 - 1).hex()


@task(name="starts_children", timeout_seconds=60, max_attempts=1)
def starts_children(directory: str, ending: str) -> str:
    """Leave two processes behind, and end in some way."""
    for _ in range(2):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        child.returncode = 0  # so that nobody warns of it
        announce(directory, child.pid)
    if ending == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "waiting":
        time.sleep(600)
    return "left"


@task(name="says_strange_things", max_attempts=1)
def says_strange_things(fail: bool) -> str:
    """Log, report and raise what a database or a pipe may not like."""
    job = current_job()
    nasty = "nul \0, half \ud800, line\nbreak"
    job.progress(10**30, -(10**30), nasty)
    job.log.info("said: %s", nasty)
    job.log.info("%d is no number", "x")
    logging.getLogger("l" * 300).log(logging.INFO + 1, "level")
    job.log.info("z" * 10_000)
    if fail:
        raise ValueError(nasty + "z" * 1_000_000)
    return "said"


@task(name="logs_from_threads", max_attempts=1)
def logs_from_threads(threads: int, lines: int) -> int:
    """Log long lines from many threads, and from a forked child."""
    job = current_job()

    def talk(number: int) -> None:
        for line in range(lines):
            job.log.info("thread %d line %d %s", number, line, "x" * 20_000)

    talking = [threading.Thread(target=talk, args=(number,)) for number in range(threads)]
    for thread in talking:
        thread.start()
    for thread in talking:
        thread.join()
    child = os.fork()
    if child == 0:
        job.log.info("from a forked child %s", "x" * 200_000)
        os._exit(0)
    os.waitpid(child, 0)
    return threads * lines


@task(name="returns_much")
def returns_much(size: int) -> str:
    """Return so many characters."""
    return "x" * size


@task(name="exits", max_attempts=1)
def exits(how: str) -> Any:
    """Leave the interpreter."""
    if how == "os._exit":
        os._exit(3)
    sys.exit("enough")


@task(name="interrupted_while_it_talks", timeout_seconds=0.2, max_attempts=1)
def interrupted_while_it_talks() -> None:
    """Log without a pause until the timeout."""
    while True:
        current_job().log.info("x" * 100)
        current_job().progress(1)


@task(name="tells_its_process")
def tells_its_process() -> int:
    """The process that runs the job."""
    return os.getpid()


@task(name="tells_its_own_process", isolation="process")
def tells_its_own_process() -> int:
    """The process that runs the job, and it alone."""
    return os.getpid()


@task(name="spoils_its_process", isolation="process")
def spoils_its_process() -> list[str]:
    """What earlier jobs have changed in this process, before it does the same."""
    found = [name for name in ("JR_SPOILED",) if name in os.environ]
    os.environ["JR_SPOILED"] = "yes"
    os.chdir("/")
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return found


@task(name="uses_memory")
def uses_memory(mebibytes: int) -> int:
    """Touch so much memory for a moment. Returns the process."""
    held = b"x" * (mebibytes * 2**20)
    return os.getpid() if held else 0


@task(name="leaves_a_process")
def leaves_a_process() -> int:
    """Return, but leave a child behind. Returns the process that ran the job."""
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    return os.getpid()


@task(name="closes_everything", max_attempts=1)
def closes_everything() -> None:
    """Close what is not its own, and go on."""
    os.closerange(3, 1_000)
    time.sleep(600)


@task(name="runs_beside", timeout_seconds=60)
def runs_beside(directory: str) -> str:
    """Return at once, if the test does not say so otherwise."""
    while (Path(directory) / "hold").exists():
        time.sleep(0.01)
    return "ran"


@task(name="takes_a_while", timeout_seconds=60, max_attempts=1)
def takes_a_while(seconds: float) -> None:
    """Return after so long."""
    time.sleep(seconds)


@task(name="hangs", timeout_seconds=1, max_attempts=1)
def hangs(directory: str) -> None:
    """Announce the executor, then run on."""
    announce(directory, os.getpid())
    time.sleep(600)


@task(name="logs_and_raises", max_attempts=2)
def logs_and_raises(secret: str) -> None:
    """Log what it raises, with secrets in all of it."""
    url = f"postgresql://me:{secret}@db/ledger"
    try:
        raise ValueError(f"cannot reach {url}, password={secret}")
    except ValueError:
        current_job().log.exception("giving up on %s with token: %s", url, secret)
        raise


@task(name="captures_by_itself", max_attempts=1)
def captures_by_itself() -> list[str]:
    """Use the SDK, as libraries do. Returns the threads there are then."""
    import sentry_sdk

    sentry_sdk.capture_message("of the task's own")
    return [thread.name for thread in threading.enumerate()]


@task(name="isolated_until_told", timeout_seconds=60, isolation="process")
def isolated_until_told(directory: str) -> None:
    """Announce the process it has for itself, then run until the test says so."""
    announce(directory, os.getpid())
    while not (Path(directory) / "go").exists():
        time.sleep(0.01)
