"""Alembic's entry: runs the revisions on the connection that `jobresults.schema.migrate` hands
over.
"""

from __future__ import annotations

from alembic import context

import jobresults.accounts.model
import jobresults.alerts.silences
import jobresults.jobs.indexes
import jobresults.webhooks.model
from jobresults.database import metadata

__all__ = ["jobresults"]

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
