"""Hot copies of ended jobs in Redis: what can still be read while the ledger is out of reach."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

from redis.client import Pipeline

from jobresults.jobs.reading import JobRecord
from jobresults.redis_store import Client, guarded

# Larger ones would crowd Redis out.
_MAX_RESULT_BYTES = 262_144


def store(pipeline: Pipeline, record: JobRecord, keep_seconds: int) -> None:
    """Keep a copy of an ended job, at most until it expires."""
    result = record.result or b""
    if not record.done or record.expired or len(result) > _MAX_RESULT_BYTES:
        return
    left_seconds = ((record.expires_at_ms or 0) - record.now_ms) // 1000
    head = {**vars(record), "result": record.result is not None}
    pipeline.set(
        _key(record.id),
        json.dumps(head).encode() + b"\n" + result,
        ex=max(1, min(keep_seconds, left_seconds)),
    )


def load(client: Client, job_id: str, owner: str | None) -> JobRecord | None:
    """The copy of an ended job, if there is one and it is the owner's (None: anyone's).

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        stored: Any = client.get(_key(job_id))
    if stored is None:
        return None
    head, _, result = bytes(stored).partition(b"\n")
    fields = json.loads(head)
    fields["result"] = result if fields["result"] else None
    record = replace(JobRecord(**fields), now_ms=round(time.time() * 1000))
    return record if owner in (None, record.client) else None


def _key(job_id: str) -> str:
    return f"jr:job:{job_id}"
