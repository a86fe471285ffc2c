"""What a change of the schema does to the version before, and to those who write meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Set
from typing import Any

Tables = dict[str, Any]
# Kinds of rules that rows must keep, as `tables_of` names them.
_RULES = ("checks", "unique", "foreign keys")
_INDEX = re.compile(r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)\S+ ON (\w+)")
_ROWS = re.compile(r"(?:UPDATE|DELETE FROM) (\w+)")


def contractions(before: Tables, after: Tables) -> list[str]:
    """What code that knows only the tables before can do no more with those after. Indexes are
    nobody's business but the database's, unless they are unique.
    """
    return [text for table in sorted(before) for text in _of_table(table, before, after)]


def _of_table(table: str, before: Tables, after: Tables) -> Iterator[str]:
    if table not in after:
        yield f"{table} is gone"
        return
    old, new = before[table], after[table]
    for name in sorted(old["columns"].keys() | new["columns"].keys()):
        yield from _of_column(f"{table}.{name}", old["columns"].get(name), new["columns"].get(name))
    for rule in sorted(_rules(new) - _rules(old)):
        yield f"{table} has a new rule {rule[0]}"


def _of_column(name: str, old: Any, new: Any) -> Iterator[str]:
    if new is None:
        yield f"{name} is gone"
        return
    if old is not None and old["type"] != new["type"]:
        yield f"{name} was {old['type']}, is {new['type']}"
    if _must_be_given(new) and not (old is not None and _must_be_given(old)):
        yield f"{name} must be given"


def _must_be_given(column: Any) -> bool:
    fills_itself = column["default"] is not None or column.get("autoincrement") is True
    return not column["nullable"] and not fills_itself


def _rules(table: Any) -> set[tuple[str, str]]:
    found = {(rule["name"], str(rule)) for kind in _RULES for rule in table[kind]}
    return found | {(index["name"], str(index)) for index in table["indexes"] if index["unique"]}


def stoppages(statements: Iterable[str], tables: Set[str]) -> list[str]:
    """Statements for which everyone has to wait who writes to one of these tables, for as long as
    it takes to read all of it.
    """
    found = (" ".join(statement.split()) for statement in statements)
    return [text for text in found if _locked_by(text) in tables]


def _locked_by(statement: str) -> str | None:
    match = _INDEX.match(statement) or _ROWS.match(statement)
    return match[1] if match else None
