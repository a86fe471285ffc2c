"""What is checked before anything is started."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobresults.configuration import load_settings
from jobresults.embedded.stack import Options, Ready, run_stack, usable_port
from jobresults.embedded.supervisor import StartFailed
from jobresults.errors import ConfigurationError, RedisUnavailable


@pytest.fixture
def busy_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def never() -> Callable[[Ready], None]:
    def announce(ready: Ready) -> None:
        pytest.fail(f"announced {ready}")

    return announce


def test_port_zero_is_any_free_port() -> None:
    with socket.create_server(("127.0.0.1", usable_port("127.0.0.1", 0))):
        pass


def test_a_busy_port_is_refused_naming_the_option(busy_port: int) -> None:
    with pytest.raises(ConfigurationError, match=rf"port {busy_port}: Address already.*--port"):
        usable_port("127.0.0.1", busy_port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot listen on {host}.*--host"):
        usable_port(host, 0)


@pytest.mark.parametrize("offset", [0, 1, 3])
def test_a_busy_port_of_the_metrics_is_refused_naming_the_setting(
    busy_port: int,
    offset: int,
    tmp_path: Path,
    never: Callable[[Ready], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JOBRESULTS_METRICS__PORT", str(busy_port - offset))
    with pytest.raises(ConfigurationError, match=r"metrics\.port: cannot listen on 127\.0\.0\.1"):
        run_stack(load_settings(), Options("127.0.0.1", 0, 2, tmp_path), never)


@pytest.mark.parametrize(("first", "web"), [(9100, 9103), (65_534, 8000)])
def test_ports_of_the_metrics_that_cannot_be_are_refused(
    first: int,
    web: int,
    tmp_path: Path,
    never: Callable[[Ready], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JOBRESULTS_METRICS__PORT", str(first))
    with pytest.raises(
        ConfigurationError, match=rf"metrics\.port: .* ports {first} to {first + 3};"
    ):
        run_stack(load_settings(), Options("127.0.0.1", web, 2, tmp_path), never)


def test_a_configured_redis_that_does_not_answer_is_an_error_not_replaced(
    tmp_path: Path, never: Callable[[Ready], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBRESULTS_REDIS__URL", f"unix://{tmp_path}/none.sock")
    with pytest.raises(RedisUnavailable):
        run_stack(load_settings(), Options("127.0.0.1", 0, 1, tmp_path), never)
    assert not (tmp_path / "redis").exists()


def test_a_redis_that_cannot_read_its_data_is_an_error_that_names_its_log(
    tmp_path: Path, never: Callable[[Ready], None]
) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "appendonly.aof").write_text("not an append-only file\n")
    with pytest.raises(StartFailed, match=r"redis did not start: .*redis\.log"):
        run_stack(load_settings(environ={}), Options("127.0.0.1", 0, 1, tmp_path), never)
