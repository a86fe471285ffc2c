"""Statements that run for many rows: compiled once, then handed to the driver with nothing between.

SQLAlchemy's own way through a list of parameters takes longer for each row than SQLite needs to
write it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect
from sqlalchemy.sql.dml import UpdateBase

Row = tuple[Any, ...]


class Prepared:
    """A statement, and the names of its parameters in the order in which rows bring them."""

    def __init__(self, statement: UpdateBase, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._made: dict[str, tuple[str, Callable[[Row], Any]]] = {}

    def execute(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Once for each row, within the caller's transaction. Returns how many rows of the table
        were written in all.
        """
        if not rows:
            return 0
        dialect = connection.dialect
        if dialect.name not in self._made:
            self._made[dialect.name] = self._make(dialect)
        sql, bind = self._made[dialect.name]
        return connection.exec_driver_sql(sql, [bind(row) for row in rows]).rowcount

    def _make(self, dialect: Dialect) -> tuple[str, Callable[[Row], Any]]:
        """Its text for this kind of database, and what makes the driver's parameters of a row."""
        compiled: Any = self._statement.compile(dialect=dialect)
        fixed = {
            name: str(value) if isinstance(value, str) else value  # drivers know no enums
            for name, value in compiled.params.items()
            if name not in self._names
        }
        constants = tuple(fixed.values())
        shape = _shape([*self._names, *fixed], compiled.positiontup)
        processors = [
            (place, process)
            for place, name in enumerate(self._names)
            if (process := compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect))
        ]

        def bind(row: Row) -> Any:
            values = [*row, *constants]
            for place, process in processors:
                values[place] = process(values[place])
            return shape(values)

        return compiled.string, bind


def _shape(names: Sequence[str], places: Sequence[str] | None) -> Callable[[list[Any]], Any]:
    """The driver's parameters: by place, where a name may come again, or by name."""
    if places is None:
        return lambda values: dict(zip(names, values, strict=True))
    return itemgetter(*map(names.index, places))
