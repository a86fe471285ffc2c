"""The file with logins: who can read it, and that it is never half written."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from jobresults.cli.credential_file import (
    CredentialFileRefused,
    Login,
    changed_credentials,
    location,
    read_credentials,
    service_name,
)

URL = "https://jobs.example.com"


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """There is none yet."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config/jobresults/credentials.json"


def log_in(url: str = URL, token: str = "a.b.c") -> None:
    with changed_credentials() as credentials:
        credentials.add(url, Login(token, "user:ann", "2026-01-31T12:00:00Z"))


def test_what_is_written_is_read_again() -> None:
    assert read_credentials().logins == {}
    log_in()
    log_in("https://other.example.com", "d.e.f")
    found = read_credentials()
    assert found.default == "https://other.example.com", "the newest"
    assert found.at(URL) == Login("a.b.c", "user:ann", "2026-01-31T12:00:00Z")
    with changed_credentials() as credentials:
        assert credentials.remove("https://other.example.com")
        assert not credentials.remove("https://other.example.com")
    assert (read_credentials().default, list(read_credentials().logins)) == (None, [URL])


def test_nobody_else_can_read_it_whatever_the_umask(file: Path) -> None:
    file.parent.mkdir(parents=True, mode=0o755)
    before = os.umask(0)
    try:
        log_in()
    finally:
        os.umask(before)
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_one_that_others_can_reach_is_refused(file: Path, mode: int) -> None:
    log_in()
    file.chmod(mode)
    with pytest.raises(CredentialFileRefused, match="others can read it") as caught:
        read_credentials()
    assert caught.value.exit_code == 4
    with pytest.raises(CredentialFileRefused):
        log_in()
    assert file.stat().st_mode & 0o777 == mode, "nothing is written over it"


@pytest.mark.parametrize(
    "text", ["", "[]", '{"services": []}', '{"services": {"u": {}}}', '{"services": {"u": 1}}',
             '{"default": 1, "services": {}}', "\xff"]
)  # fmt: skip
def test_a_damaged_one_is_refused(file: Path, text: str) -> None:
    log_in()
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(CredentialFileRefused, match="remove it and log in anew"):
        read_credentials()


def test_one_that_cannot_be_read_or_written_is_told(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(CredentialFileRefused, match="cannot be read: Is a directory"):
        read_credentials()
    file.rmdir()
    file.parent.rmdir()
    file.parent.write_text("not a directory")
    with pytest.raises(CredentialFileRefused, match="cannot be used: File exists"):
        log_in()


def test_a_failure_while_writing_leaves_the_old_one(file: Path) -> None:
    log_in()
    before = file.read_bytes()
    with pytest.raises(TypeError), changed_credentials() as credentials:
        credentials.add(URL, Login(object()))  # type: ignore[arg-type]
    with pytest.raises(ZeroDivisionError), changed_credentials() as credentials:
        credentials.remove(URL)
        _ = 1 / 0
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_of_many_who_log_in_at_once_none_is_lost(file: Path) -> None:
    urls = [f"https://{number}.example.com" for number in range(20)]
    threads = [threading.Thread(target=log_in, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(json.loads(file.read_text())["services"]) == set(urls)


def test_a_service_has_one_name_and_another_host_port_or_path_another() -> None:
    same = (
        "https://Jobs.example.com/",
        "https://jobs.example.com:443",
        "https://me@jobs.example.com",
    )
    assert {service_name(url) for url in same} == {URL}
    other = (
        "http://jobs.example.com",
        f"{URL}:444",
        f"{URL}.evil.com",
        f"{URL}/a",
        "http://[::1]:80",
    )
    assert URL not in {service_name(url) for url in other}
    assert service_name("http://[::1]:8000/x/") == "http://[::1]:8000/x"


def test_a_relative_place_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert location() == tmp_path / ".config/jobresults/credentials.json"


def test_a_login_does_not_show_its_token() -> None:
    assert "secret" not in repr(Login("secret"))
