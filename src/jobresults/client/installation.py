"""What a service consists of, as `Client` shows it: tasks, queues, workers, its own health."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from jobresults.client.transport import Transport


class Installation:
    """The part of a client that is not about jobs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def tasks(self) -> list[dict[str, Any]]:
        """The tasks the service runs, with the JSON Schemas of their params and results."""
        tasks: list[dict[str, Any]] = self._transport.get("/v1/tasks").body["tasks"]
        return tasks

    def queues(self) -> list[dict[str, Any]]:
        """What each queue holds, and whether it is paused. Needs an operator's token."""
        queues: list[dict[str, Any]] = self._transport.get("/v1/queues").body["queues"]
        return queues

    def pause_queue(self, name: str) -> dict[str, Any]:
        """Start no more jobs of a queue until it is resumed. Needs an operator's token.

        Raises:
            JobNotFound: there is no such queue.
        """
        return self._on_queue(name, "pause")

    def resume_queue(self, name: str) -> dict[str, Any]:
        """Start jobs of a queue again. Needs an operator's token.

        Raises:
            JobNotFound: there is no such queue.
        """
        return self._on_queue(name, "resume")

    def workers(self) -> list[dict[str, Any]]:
        """The workers that are there, and what each does. Needs an operator's token."""
        workers: list[dict[str, Any]] = self._transport.get("/v1/workers").body["workers"]
        return workers

    def whoami(self) -> dict[str, Any]:
        """Whose the token is, and what it allows."""
        whoami: dict[str, Any] = self._transport.get("/v1/whoami").body
        return whoami

    def status(self) -> dict[str, Any]:
        """How the service says it is; needs no token."""
        status: dict[str, Any] = self._transport.get("/status").body
        return status

    def _on_queue(self, name: str, action: str) -> dict[str, Any]:
        path = f"/v1/queues/{quote(name, safe='')}/{action}"
        queue: dict[str, Any] = self._transport.post(path).body
        return queue
