"""`make stock-faults`: do to stock RQ what the fault matrix does to us, and print what happens.

Exit status: 0 if stock RQ behaved badly in every row shown, else 1, with the rows where it did not.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version

from tests.faults.stock import dispatch, endings, redis_outages, worker_deaths
from tests.faults.stock.rig import NotPossibleHereError, Rig, Seen, rig
from tests.services.redis_server import CHOICE, find_program

AT_ONCE = 5  # most of a row is waiting


@dataclass(frozen=True)
class Row:
    """`ours`: the behaviour in docs/durability.md, in a word."""

    number: str
    fault: str
    do: Callable[[Rig], Seen]
    ours: str


ROWS = (
    Row("1", "reply to the enqueue lost", dispatch.reply_of_enqueue_lost, "1 effect"),
    Row("2", "Redis refuses at submit", dispatch.redis_refuses_at_submit, "202, run later"),
    Row("5", "worker killed right after the pop, one queue",
        dispatch.killed_after_pop_of_one_queue, "dispatched again, 1 effect"),
    Row("5", "the same, two queues",
        dispatch.killed_after_pop_of_two_queues, "dispatched again, 1 effect"),
    Row("6", "SIGTERM while a job is on its way",
        dispatch.sigterm_in_the_pop_window, "run or left, exit 0"),
    Row("7", "worker and horse killed in mid-job, `Retry(max=2)`",
        worker_deaths.worker_killed_in_mid_job, "runs again within 20 s"),
    Row("8", "worker killed alone", worker_deaths.worker_killed_alone, "executor dead within 1 s"),
    Row("9", "work horse killed", worker_deaths.work_horse_killed, "3 attempts, then 1 alert"),
    Row("11", "Redis down for 20 s at completion",
        endings.redis_down_at_completion, "result readable at once"),
    Row("12", "reply to the completion lost", endings.reply_of_completion_lost, "1 outcome"),
    Row("14", "four copies of a dispatch", dispatch.four_copies_of_one_dispatch, "1 start"),
    Row("15", "worker wakes after 90 s, `Retry(max=1)`",
        worker_deaths.zombie_worker, "its outcome is refused"),
    Row("16", "FLUSHALL with 1,000 jobs queued", redis_outages.flushall, "all run, once"),
    Row("17", "Redis killed without append-only file",
        redis_outages.redis_killed_without_append_only_file, "all run, once"),
    Row("18", "partition under Sentinel", redis_outages.sentinel_partition, "none lost"),
    Row("19", "Redis out of memory, `allkeys-lru`",
        redis_outages.redis_has_no_memory_left, "202, run, read"),
    Row("21", "Redis hangs at submit", redis_outages.redis_hangs_at_submit, "2 s at most"),
    Row("22", "connections dead without a word", redis_outages.half_open_tcp, "well within 30 s"),
    Row("23", "a worker's clock 120 s ahead, `Retry(max=1)`",
        worker_deaths.clock_two_minutes_ahead, "no second run"),
    Row("24", "timeout of 3 s in C code", endings.timeout_in_c, "killed within 3 s of it"),
    Row("24", "the same, swallowed by `except Exception`",
        endings.timeout_swallowed, "killed within 3 s of it"),
    Row("25", "four counts of the running jobs at once, one abandoned, `Retry(max=3)`",
        dispatch.four_counts_at_once, "1 dispatch, 1 effect"),
    Row("28", "task unknown to an old worker",
        dispatch.task_unknown_to_an_old_worker, "parked, run by a new one"),
    Row("", "result that cannot be serialized",
        endings.result_not_serializable, "failed, `result_not_serializable`"),
    Row("", "result that JSON does not have (NaN)",
        endings.result_not_a_number, "failed, `result_not_serializable`"),
    Row("", "how long a result is kept", endings.result_expires, "7 days, then 410 for 30 more"),
)  # fmt: skip
# They wait for more than a minute.
LONGEST = ("15", "24", "7", "21")


def main() -> int:
    program = find_program(os.environ.pop(CHOICE, None))
    if program is None:
        sys.exit("error: needs Redis: make install, or apt-get install redis-server")
    logging.disable()  # RQ's own, of what happens in this process
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        order = sorted(ROWS, key=lambda row: row.number not in LONGEST)
        running = {row: threads.submit(_seen, row, program) for row in order}
        seen = {row: running[row].result() for row in ROWS}
    print(f"| # | fault | stock RQ {version('rq')} | jobresults |\n|---|---|---|---|")
    for row in ROWS:
        print(f"| {row.number} | {row.fault} | {seen[row].text} | {row.ours} |")
    print(f"\n{_versions(program)}; {time.monotonic() - began:.0f} s", file=sys.stderr)
    good = [f"{row.number} {row.fault}: {seen[row].text}" for row in ROWS if not seen[row].is_bad]
    for line in good:
        print(f"no contrast: {line}", file=sys.stderr)
    return 1 if good else 0


def _seen(row: Row, program: str) -> Seen:
    began = time.monotonic()
    try:
        with rig(program) as own:
            seen = row.do(own)
    except NotPossibleHereError as missing:
        seen = Seen(f"skipped: {missing}", is_bad=True)  # speaks for nobody, and fails nothing
    except Exception as error:  # noqa: BLE001 - the other rows go on
        seen = Seen(f"not measured: {type(error).__name__}: {error}", is_bad=False)
    print(f"{time.monotonic() - began:4.0f} s  {row.number:2} {row.fault}", file=sys.stderr)
    return seen


def _versions(program: str) -> str:
    server = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return f"rq {version('rq')}, redis-py {version('redis')}, {server.stdout.split(' sha=')[0]}"


if __name__ == "__main__":
    sys.exit(main())
