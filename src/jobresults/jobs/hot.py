"""Hot copies of ended jobs in Redis: what can still be read while the ledger is out of reach."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic_core import to_json
from redis.client import Pipeline

from jobresults.jobs.reading import JobRecord
from jobresults.redis_store import Client, guarded

# Larger ones would crowd Redis out.
_MAX_RESULT_BYTES = 262_144


# One command for all: to send one for each copy took a fifth of a worker's time in Redis.
_STORE = """
for number, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[2 * number - 1], 'EX', ARGV[2 * number])
end
"""


def store(pipeline: Pipeline, records: Iterable[JobRecord], keep_seconds: int) -> None:
    """Keep copies of ended jobs, each at most until it expires."""
    keys: list[str] = []
    values: list[bytes | int] = []
    for record in records:
        result = record.result or b""
        if not record.done or record.expired or len(result) > _MAX_RESULT_BYTES:
            continue
        left_seconds = ((record.expires_at_ms or 0) - record.now_ms) // 1000
        head = {**vars(record), "result": record.result is not None}
        keys.append(_key(record.id))
        values += (to_json(head) + b"\n" + result, max(1, min(keep_seconds, left_seconds)))
    if keys:
        pipeline.eval(_STORE, len(keys), *keys, *values)


def load(client: Client, ids: Sequence[str]) -> dict[str, JobRecord]:
    """The copies there are of these ended jobs, whoever owns them.

    Raises:
        RedisUnavailable
    """
    with guarded(client):
        stored: Any = client.mget([_key(job_id) for job_id in ids])
    now_ms = round(time.time() * 1000)
    records = (_record(bytes(copy), now_ms) for copy in stored if copy is not None)
    return {record.id: record for record in records}


def _record(stored: bytes, now_ms: int) -> JobRecord:
    head, _, result = stored.partition(b"\n")
    fields = json.loads(head)
    fields["result"] = result if fields["result"] else None
    return JobRecord(**fields).as_of(now_ms)


def _key(job_id: str) -> str:
    return f"jr:job:{job_id}"
