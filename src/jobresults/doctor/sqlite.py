"""The ledger as a file. It is opened for reading only: opening it as the service does would change
it.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from jobresults.database import checked_url
from jobresults.doctor.findings import Finding, error, ok, warning
from jobresults.doctor.schema import Schema
from jobresults.settings import Settings

_MOUNTS = Path("/proc/self/mountinfo")
# Their locks or shared memory do not do what SQLite needs of them.
_NETWORKS = frozenset(
    (
        *("9p", "afs", "ceph", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs", "gfs2"),
        *("lustre", "ncpfs", "nfs", "nfs4", "smb2", "smb3", "smbfs", "virtiofs"),
    )
)


def check(settings: Settings) -> Iterator[Finding | Schema]:
    path = Path(str(checked_url(settings.database).database)).absolute()
    if not path.is_file():
        text = f"there is no file {path}"
        yield error("database.reachable", text, "run: jobresults migrate, or mend database.url")
        return
    if not os.access(path, os.W_OK) or not os.access(path.parent, os.W_OK):
        text = f"{path} or its directory cannot be written by this user"
        yield error("database.writable", text, "give both to the user of the service")
    yield from _disk(path, settings.alerts.watch.disk_share)
    yield from _file_system(path)
    yield from _content(path)


def _content(path: Path) -> Iterator[Finding | Schema]:
    began = time.perf_counter()
    try:
        connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)
    except sqlite3.Error as problem:
        yield error("database.reachable", f"{path}: {problem}", "look at its permissions")
        return
    try:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        tables = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
        ).fetchone()[0]
        row = (
            connection.execute("SELECT version_num FROM alembic_version").fetchone()
            if tables
            else None
        )
    except sqlite3.Error as problem:
        yield error("database.reachable", f"{path}: {problem}", "restore it from its backup")
        return
    finally:
        connection.close()
    seconds = time.perf_counter() - began
    yield ok("database.reachable", f"SQLite {sqlite3.sqlite_version}, {path}: {seconds:.3f} s")
    if mode == "wal":
        yield ok("database.journal", "write-ahead log")
    else:
        text = f"journal mode {mode}: the service has not opened it, or could not change that"
        yield warning("database.journal", text, "start the service; put it on a local disk")
    yield Schema(None if row is None else str(row[0]))


def _disk(path: Path, most: float) -> Iterator[Finding]:
    usage = shutil.disk_usage(path.parent)
    share = usage.used / ((usage.used + usage.free) or 1)
    text = f"its disk is {share:.0%} full, {usage.free / 2**30:.1f} GiB are free"
    if share > most:
        yield error("database.disk", text, "make room: without it no job is accepted")
    else:
        yield ok("database.disk", text)


def _file_system(path: Path) -> Iterator[Finding]:
    kind = file_system(path, _MOUNTS)
    if kind in _NETWORKS:
        text = f"it lies on {kind}, whose locks SQLite cannot rely on"
        yield error("database.file_system", text, "move it to a local disk, or use PostgreSQL")
    elif kind is not None:
        yield ok("database.file_system", kind)


def file_system(path: Path, mounts: Path) -> str | None:
    """The kind of file system a path lies on, by Linux' table of mounts (proc(5)); None if there is
    no such table.
    """
    best, kind = -1, None
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    real = path.resolve()
    for line in lines:
        before, _, behind = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ")
        # A later mount at the same place hides the earlier one.
        if real.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), behind.split()[0]
    return kind
