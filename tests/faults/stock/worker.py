"""A stock worker, as RQ's documentation has it. Arguments: URL, `burst` or `stay`, queues."""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

from redis import Redis
from rq import Worker


def connect(url: str) -> Redis:
    """As `redis.Redis(…)` does by default: a timeout of 5 s, ten repetitions.

    `Redis.from_url` has no repetitions: there fails at once what is repeated here.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return Redis(unix_socket_path=parts.path)
    return Redis(parts.hostname or "localhost", parts.port or 6379)


def main() -> None:
    url, mode, *queues = sys.argv[1:]
    Worker(queues or ["default"], connection=connect(url)).work(burst=mode == "burst")


if __name__ == "__main__":
    main()
