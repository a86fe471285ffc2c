"""The private Redis: which program is chosen, and a real one through a crash."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from jobresults.embedded.redis import PrivateRedis, find_server, private_redis, server_version
from jobresults.errors import ConfigurationError
from jobresults.settings import Settings
from tests.services.process import eventually

StandIn = Callable[[str, str], Path]


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    """Makes a program that can only say which version it is."""

    def make(name: str, says: str) -> Path:
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\necho '{says}'\n")
        program.chmod(0o755)
        return program

    return make


@contextmanager
def running(private: PrivateRedis) -> Iterator[tuple[psutil.Popen, redis.Redis]]:
    process = psutil.Popen(private.command)
    try:
        with redis.Redis.from_url(private.url, decode_responses=True) as client:
            yield process, client
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_valkey_on_the_path_comes_first(stand_in: StandIn, tmp_path: Path) -> None:
    stand_in("bin/redis-server", "Redis server v=7.0.15 sha=00000000:0")
    valkey = stand_in("bin/valkey-server", "Valkey server v=8.1.0 sha=00000000:0")
    assert find_server(str(tmp_path / "bin"), tmp_path / "none") == valkey


def test_an_old_server_on_the_path_gives_way_to_the_bundled_one(
    stand_in: StandIn, tmp_path: Path
) -> None:
    stand_in("bin/redis-server", "Redis server v=6.0.16 sha=00000000:0")
    bundled = stand_in("lib/redis-server", "Redis server v=6.2.14 sha=00000000:0")
    assert find_server(str(tmp_path / "bin"), bundled) == bundled


def test_without_any_server_the_remedy_is_named(stand_in: StandIn, tmp_path: Path) -> None:
    not_for_this_machine = stand_in("lib/redis-server", "")
    with pytest.raises(ConfigurationError, match="apt-get install redis-server"):
        find_server(str(tmp_path), not_for_this_machine)


@pytest.mark.parametrize(
    ("says", "version"),
    [
        ("Redis server v=6.2.14 sha=40305114:0 malloc=libc bits=64", (6, 2)),
        ("Valkey server v=8.1.0 sha=00000000:0 malloc=jemalloc", (8, 1)),
        ("not a server", ()),
    ],
)
def test_the_version_is_read_from_what_a_server_says(
    stand_in: StandIn, says: str, version: tuple[int, ...]
) -> None:
    assert server_version(str(stand_in("server", says))) == version


def test_what_cannot_run_has_no_version(tmp_path: Path) -> None:
    assert server_version(str(tmp_path / "missing")) == ()


def test_what_was_written_survives_a_crash(tmp_path: Path) -> None:
    with private_redis(Settings(), tmp_path / "redis") as private:
        with running(private) as (_, client):
            eventually(lambda: answers(client), "Redis answers")
            client.set("job", "dispatched")
        with running(private) as (_, client):
            eventually(lambda: answers(client), "Redis answers")
            assert client.get("job") == "dispatched"


def test_only_its_user_can_reach_it(tmp_path: Path) -> None:
    with private_redis(Settings(), tmp_path / "redis") as private, running(private) as server:
        process, client = server
        eventually(lambda: answers(client), "Redis answers")
        socket = Path(private.url.removeprefix("unix://"))
        for directory in (socket.parent, tmp_path / "redis"):
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert process.net_connections("inet") == []


def test_it_never_evicts_and_syncs_every_second(tmp_path: Path) -> None:
    with private_redis(Settings(), tmp_path / "redis") as private, running(private) as (_, client):
        eventually(lambda: answers(client), "Redis answers")
        expected = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
        }
        # One by one: Redis before 7 takes no more.
        assert {name: client.config_get(name)[name] for name in expected} == expected


def test_a_path_with_spaces_and_a_long_one_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("so long " * 12)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with private_redis(Settings(), long / "redis") as private, running(private) as (_, client):
        eventually(lambda: answers(client), "Redis answers")
    assert (long / "redis" / "appendonly.aof").exists() or list(long.glob("redis/appendonlydir/*"))


def test_nothing_but_the_data_is_left(tmp_path: Path) -> None:
    with private_redis(Settings(), tmp_path / "redis") as private:
        socket_directory = Path(private.url.removeprefix("unix://")).parent
        assert socket_directory.is_dir()
    assert not socket_directory.exists()
    assert list((tmp_path / "redis").iterdir()) == []


def test_a_start_clears_up_after_one_that_was_killed(tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "socket").symlink_to(left)
    with private_redis(Settings(), tmp_path / "redis"):
        assert not left.exists()


def test_production_wants_a_redis_of_its_own(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="JOBRESULTS_REDIS__URL"),
        private_redis(Settings(environment="production"), tmp_path),
    ):
        pass
