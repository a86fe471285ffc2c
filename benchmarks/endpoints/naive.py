"""Job results the short way: Flask and RQ, as tutorials show it. Nothing is promised."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, jsonify, request
from redis import Redis
from rq import Queue
from rq.job import Job

app = Flask(__name__)
redis = Redis.from_url(os.environ["BENCH_REDIS_URL"])
queue = Queue(connection=redis)


@app.post("/enqueue")
def enqueue() -> tuple[Any, int]:
    """Submit."""
    job = queue.enqueue("benchmarks.tasks.clock")
    return jsonify(job_id=job.id), 202


@app.get("/result")
def result() -> tuple[Any, int]:
    """Poll."""
    job = Job.fetch(request.args["job_id"], connection=redis)
    if not job.is_finished:
        return jsonify(state=job.get_status()), 202
    return jsonify(result=job.return_value()), 200
