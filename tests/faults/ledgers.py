"""Ledgers that can be taken away from the service and given back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass

import psycopg

from tests.services.postgresql_server import PostgresqlServer


@dataclass(frozen=True)
class Ledger:
    """An empty database. `locked`: nobody can write; `away`: nobody can write, nor read if there is
    a server. Both last as long as their block.
    """

    url: str
    locked: Callable[[], AbstractContextManager[None]]
    away: Callable[[], AbstractContextManager[None]]


def on_sqlite(url: str) -> Ledger:
    """A file is never away; its one write lock can be held."""

    @contextmanager
    def locked() -> Iterator[None]:
        path = url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    return Ledger(url, locked, locked)


def on_postgresql(server: PostgresqlServer) -> Ledger:
    """A database of a server that nobody else uses."""
    url = server.empty_database()

    @contextmanager
    def locked() -> Iterator[None]:
        with psycopg.connect(url) as connection:
            connection.execute("LOCK TABLE job IN ACCESS EXCLUSIVE MODE")
            yield

    @contextmanager
    def away() -> Iterator[None]:
        server.stop()
        try:
            yield
        finally:
            server.start()

    return Ledger(url, locked, away)
