"""The directory with one machine's ledger, Redis data and keys; one process owns it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from jobresults.errors import ConfigurationError


@dataclass(frozen=True)
class DataDirectory:
    """Where things are in it."""

    path: Path

    @property
    def redis(self) -> Path:
        """Redis' append-only file and log."""
        return self.path / "redis"

    @property
    def database_url(self) -> str:
        """The ledger's file as a URL."""
        return URL.create("sqlite", database=str(self._ledger)).render_as_string()

    @property
    def has_ledger(self) -> bool:
        return self._ledger.is_file()

    @property
    def has_token_keys(self) -> bool:
        return self._token_keys.is_file()

    @property
    def _ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def _token_keys(self) -> Path:
        return self.path / "token-keys"

    @property
    def api_key(self) -> Path:
        """The operator's API key, readable by this user only."""
        return self.path / "api-key"

    def operator_key(self, issue: Callable[[], str]) -> str:
        """The operator's API key: read from its file, or made by `issue` and written there."""
        if not self.api_key.exists():
            _write_private(self.api_key, issue())
        return self.api_key.read_text(encoding="utf-8").strip()

    def token_keys(self) -> Path:
        """The file with the key that people's tokens are signed with, made if there is none."""
        if not self.has_token_keys:
            keys = json.dumps([{"id": "local", "secret": secrets.token_hex(32)}])
            _write_private(self._token_keys, keys)
        return self._token_keys

    @contextmanager
    def announced(self, url: str) -> Iterator[None]:
        """Meanwhile the file `url` tells commands on this machine where the service is."""
        file = self.path / "url"
        file.write_text(url + "\n", encoding="utf-8")
        try:
            yield
        finally:
            file.unlink(missing_ok=True)


@contextmanager
def exclusive_data_directory(path: Path) -> Iterator[DataDirectory]:
    """The directory, made if need be, for this process alone.

    Raises:
        ConfigurationError: another process has it, or it cannot be written.
    """
    path = path.resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (path / "lock").open("a+", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"--data-dir {path}: cannot use it: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ConfigurationError(
                f"--data-dir {path}: in use by `jobresults up`, process {lock.read().strip()}"
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield DataDirectory(path)


def _write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    Path(temporary).replace(path)
