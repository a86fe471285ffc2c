"""procrastinate on PostgreSQL: as durable as ours. It keeps a job's state and events but no return
value: its own "started" event is the clock, "succeeded" the result.
"""

import functools
import os
import time

import procrastinate
from psycopg import connect

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=os.environ["BENCH_POSTGRESQL_URL"])
)
_RESULT = """
    SELECT extract(epoch FROM event.at)::float FROM procrastinate_jobs job
    JOIN procrastinate_events event ON event.job_id = job.id AND event.type = 'started'
    WHERE job.id = %s AND job.status = 'succeeded'
"""


@app.task(name="clock")
async def clock():
    time.time()


@functools.cache
def caller():
    """The task as synchronous programs call it, on emptied tables."""
    app.open()
    with connection().cursor() as cursor:
        cursor.execute("SELECT to_regclass('procrastinate_jobs')")
        if cursor.fetchone()[0] is None:
            app.schema_manager.apply_schema()
        cursor.execute("TRUNCATE procrastinate_jobs CASCADE")
    return clock


@functools.cache
def connection():
    return connect(os.environ["BENCH_POSTGRESQL_URL"], autocommit=True)


def enqueue(count):
    return caller().batch_defer(*({} for _ in range(count)))


def result(job_id):
    row = connection().execute(_RESULT, [job_id], prepare=True).fetchone()
    return None if row is None else row[0]


def wait(job_id):
    while (clock_seconds := result(job_id)) is None:
        time.sleep(0.001)
    return clock_seconds
