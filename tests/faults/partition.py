"""Two network namespaces, both in reach of the host, and a link between them that can be cut."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Side:
    """A namespace. `address` is its own, the same for the host and for the other side."""

    namespace: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What runs a command in it."""
        return ("ip", "netns", "exec", self.namespace)


@dataclass(frozen=True)
class Network:
    """Whole at first."""

    left: Side
    right: Side

    def cut(self) -> None:
        """Neither side reaches the other any more; the host still reaches both."""
        _ip(f"-n {self.left.namespace} link set across down")

    def heal(self) -> None:
        _ip(f"-n {self.left.namespace} link set across up")
        self.route()

    def route(self) -> None:
        _ip(f"-n {self.left.namespace} route replace {self.right.address} dev across")
        _ip(f"-n {self.right.namespace} route replace {self.left.address} dev across")


def _ip(command: str) -> None:
    subprocess.run(["ip", *shlex.split(command)], check=True, capture_output=True, text=True)


@contextmanager
def divided_network() -> Iterator[Network]:
    """Until the end of the block. Skips the test without the right to make one; fails it in CI."""
    name, block = f"jr{os.getpid()}", f"198.18.{os.getpid() % 256}"  # RFC 2544: routed nowhere
    left, right = Side(f"{name}l", f"{block}.1"), Side(f"{name}r", f"{block}.2")
    network = Network(left, right)
    try:
        try:
            for side in (left, right):
                _ip(f"netns add {side.namespace}")
            _ip(
                f"-n {left.namespace} link add across type veth peer across netns {right.namespace}"
            )
        except (OSError, subprocess.CalledProcessError) as error:
            missing = pytest.fail if os.environ.get("CI") else pytest.skip
            missing(f"needs root and `ip netns`: {str(getattr(error, 'stderr', error)).strip()}")
        for side in (left, right):
            _connect_to_host(side, f"{block}.3")
        network.route()
        yield network
    finally:
        for side in (left, right):
            with contextlib.suppress(OSError):  # there is no `ip`
                subprocess.run(["ip", "netns", "del", side.namespace], capture_output=True)
                subprocess.run(["ip", "link", "del", side.namespace], capture_output=True)


def _connect_to_host(side: Side, host_address: str) -> None:
    inside = f"-n {side.namespace}"
    _ip(f"link add {side.namespace} type veth peer host netns {side.namespace}")
    _ip(f"address add {host_address}/32 dev {side.namespace}")
    _ip(f"link set {side.namespace} up")
    _ip(f"{inside} address add {side.address}/32 dev lo")
    for device in ("lo", "host", "across"):
        _ip(f"{inside} link set {device} up")
    _ip(f"{inside} route add {host_address} dev host src {side.address}")
    _ip(f"route add {side.address} dev {side.namespace} src {host_address}")
