"""What a database knows of its tables."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, inspect


def tables_of(connection: Connection) -> dict[str, Any]:
    """All that the database itself knows of the tables."""
    inspector = inspect(connection)
    tables = set(inspector.get_table_names()) - {"alembic_version"}
    return {
        table: {
            "columns": {
                column["name"]: {**column, "type": str(column["type"])}
                for column in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table),
            "foreign keys": _sorted(inspector.get_foreign_keys(table)),
            "unique": _sorted(inspector.get_unique_constraints(table)),
            "checks": _sorted(inspector.get_check_constraints(table)),
            "indexes": [
                {**index, "dialect_options": _texts(index.get("dialect_options", {}))}
                for index in _sorted(inspector.get_indexes(table))
            ],
        }
        for table in tables
    }


def _sorted(items: Any) -> list[Any]:
    return sorted(items, key=lambda item: str(item["name"]))


def _texts(options: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in options.items()}
