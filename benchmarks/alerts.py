"""What an error costs who logs it, who else notices, and whether a storm is counted."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks import alert_storm, load
from benchmarks.load import Request
from benchmarks.machine import Machine
from benchmarks.processes import running, until
from benchmarks.service import Service, sqlite_url
from jobresults.alerts import process
from jobresults.alerts.groups import list_groups
from jobresults.alerts.handler import AlertHandler
from jobresults.alerts.transport import RedisTransport
from jobresults.embedded.stack import usable_port
from jobresults.redis_store import connect

_STORM_PROCESSES = 4
_STORM_RATE = 10_000.0
_CONNECTIONS = 2
_KINDS = {
    "nobody is told": "nobody",
    "jobresults, Slack hangs": "ours",
    "a handler that posts, Slack hangs": "posting",
}


def measure(machine: Machine) -> dict[str, Any]:
    """Cost of a line, requests beside a Slack that hangs, and a storm of errors."""
    machine.redis().flushall()
    with contextlib.closing(Service(machine, sqlite_url(machine, "alerts"))) as service:
        return {
            "cost_us": _costs(machine, service),
            "requests": _requests(machine, service),
            "storm": _storm(machine, service),
        }


def _costs(machine: Machine, service: Service) -> dict[str, list[float]]:
    count = machine.pick(50_000, 10_000)
    process.alerts.send_through(RedisTransport(service.settings), in_app=["benchmarks"])
    handlers = {"no handler": logging.NullHandler(), "jobresults": AlertHandler()}
    found: dict[str, list[float]] = {name: [] for name in handlers}
    for _ in range(machine.rounds):
        for name, handler in handlers.items():
            found[name].append(alert_storm.cost_us(handler, count))
    process.alerts.flush(5)
    process.alerts.send_through(None)
    print(f"  an error: {found['jobresults'][-1] - found['no handler'][-1]:.1f} µs", flush=True)
    return found


@contextlib.contextmanager
def _hanging_server() -> Iterator[str]:
    """Accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        kept: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"
        server.shutdown(socket.SHUT_RDWR)
        for connection in kept:
            connection.close()


def _requests(machine: Machine, service: Service) -> dict[str, dict[str, list[float]]]:
    seen: dict[str, dict[str, list[float]]] = {}
    with _hanging_server() as url, contextlib.ExitStack() as stack:
        hook = {"BENCH_WEBHOOK": url, "JOBRESULTS_ALERTS__SLACK__WEBHOOK_URL": url}
        environ = {**service.environ, **hook, "JOBRESULTS_ALERTS__GROUP_WAIT_SECONDS": "0"}
        relay = [sys.executable, "-m", "jobresults.cli.main", "maintenance"]
        start = partial(running, log_directory=machine.directory)
        stack.enter_context(start(relay, environ=environ))
        ports = {}
        for name, kind in _KINDS.items():
            port = ports[name] = usable_port("127.0.0.1", 0)
            words = ["--config", "benchmarks/endpoints/gunicorn.conf.py"]
            command = [sys.executable, "-m", "gunicorn", *words, "--bind", f"127.0.0.1:{port}"]
            command.append("benchmarks.endpoints.alerting:app")
            web = stack.enter_context(start(command, environ={**environ, "BENCH_ALERTS": kind}))
            until(partial(load.status, port, "/"), f"{kind} serves", *web)
        for _ in range(machine.rounds):
            for name, port in ports.items():
                found = load.run(
                    port,
                    [Request("GET", "/")],
                    connections=_CONNECTIONS,
                    seconds=machine.pick(4, 2),
                )
                print(f"  {name}: p99 {found.p99_ms:.1f} ms", flush=True)
                figures = seen.setdefault(name, {"p50_ms": [], "p99_ms": []})
                figures["p50_ms"].append(found.p50_ms)
                figures["p99_ms"].append(found.p99_ms)
    return seen


def _storm(machine: Machine, service: Service) -> dict[str, Any]:
    service.redis.flushall()
    seconds = machine.pick(60, 5)
    rate = _STORM_RATE / _STORM_PROCESSES
    command = [sys.executable, "-m", "benchmarks.alert_storm", str(rate), str(seconds)]
    started = [
        subprocess.Popen(command, env=service.environ, stdout=subprocess.PIPE)
        for _ in range(_STORM_PROCESSES)
    ]
    told = []
    for each in started:
        output, _ = each.communicate(timeout=seconds + 60)
        if each.returncode:
            raise RuntimeError(f"a storming process ended with {each.returncode}")
        told.append(json.loads(output))
    groups = list_groups(connect(service.settings.redis))
    logged, counted = sum(each["logged"] for each in told), sum(it.group.count for it in groups)
    print(f"  storm: {logged:,.0f} logged, {counted:,} counted in {len(groups)} groups", flush=True)
    return {
        "seconds": seconds,
        "logged": logged,
        "counted": counted,
        "groups": len(groups),
        "growth_mib": max(each["late_mib"] - each["early_mib"] for each in told),
    }
