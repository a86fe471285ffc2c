"""Changes of the schema that hold nobody up, for revisions to use."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def make_index(name: str, table: str, columns: Sequence[str], where: str | None = None) -> None:
    """Make an index, or make it anew, while others write to its table. The old one of that name is
    used until then.

    On PostgreSQL outside of any transaction, so it may be broken off at each point: what was left
    half-made is made again by the next try. Let it be the only thing that a revision does.
    """
    if op.get_bind().dialect.name == "postgresql":
        _make_beside_writers(name, table, columns, where)
    else:
        op.drop_index(name, table_name=table, if_exists=True)
        op.create_index(name, table, [*columns], sqlite_where=_text(where))


def _make_beside_writers(name: str, table: str, columns: Sequence[str], where: str | None) -> None:
    new = f"{name}_new"
    with op.get_context().autocommit_block():
        # It waits for statements and transactions that run, and nobody waits for it.
        op.execute("SET lock_timeout = 0")
        _drop(new, table)
        op.create_index(
            new, table, [*columns], postgresql_where=_text(where), postgresql_concurrently=True
        )
        _drop(name, table)
        op.execute(f"ALTER INDEX {new} RENAME TO {name}")
        op.execute("RESET lock_timeout")


def _drop(name: str, table: str) -> None:
    op.drop_index(name, table_name=table, if_exists=True, postgresql_concurrently=True)


def _text(where: str | None) -> sa.TextClause | None:
    return None if where is None else sa.text(where)
