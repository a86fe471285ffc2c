"""The data directory: who owns it, and the operator's key."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import make_url

from jobresults.embedded.data_directory import exclusive_data_directory
from jobresults.errors import ConfigurationError
from jobresults.settings import AccountsSettings


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with (
        exclusive_data_directory(tmp_path),
        pytest.raises(ConfigurationError, match=rf"in use .* process {os.getpid()}$"),
        exclusive_data_directory(tmp_path),
    ):
        pass


def test_it_is_free_again_afterwards(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive_data_directory(tmp_path):
            pass
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_it_is_made_for_this_user_only(tmp_path: Path) -> None:
    with exclusive_data_directory(tmp_path / "deep" / "data") as data:
        assert stat.S_IMODE(data.path.stat().st_mode) == 0o700


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ConfigurationError, match="--data-dir"),
        exclusive_data_directory(tmp_path / "file"),
    ):
        pass


def test_the_operators_key_is_issued_once_and_private(tmp_path: Path) -> None:
    with exclusive_data_directory(tmp_path) as data:
        assert data.operator_key(lambda: "first") == "first"
        assert data.operator_key(lambda: "second") == "first"
        assert data.api_key.read_text() == "first\n"
        assert stat.S_IMODE(data.api_key.stat().st_mode) == 0o600


def test_the_key_for_tokens_is_made_once_and_private(tmp_path: Path) -> None:
    with exclusive_data_directory(tmp_path) as data:
        first = data.token_keys().read_text()
        assert AccountsSettings(token_keys=json.loads(first)).token_keys[0].id == "local"
        assert data.token_keys().read_text() == first
        assert stat.S_IMODE(data.token_keys().stat().st_mode) == 0o600


def test_a_key_that_could_not_be_issued_leaves_no_file(tmp_path: Path) -> None:
    def fail() -> str:
        raise ConnectionError

    with exclusive_data_directory(tmp_path) as data:
        with pytest.raises(ConnectionError):
            data.operator_key(fail)
        assert not data.api_key.exists()


def test_the_address_is_announced_only_meanwhile(tmp_path: Path) -> None:
    with exclusive_data_directory(tmp_path) as data:
        with data.announced("http://127.0.0.1:8000"):
            assert (tmp_path / "url").read_text() == "http://127.0.0.1:8000\n"
        assert not (tmp_path / "url").exists()


def test_the_ledger_is_an_absolute_path_whatever_its_characters(tmp_path: Path) -> None:
    with exclusive_data_directory(tmp_path / "a b?c%20") as data:
        assert make_url(data.database_url).database == str(tmp_path / "a b?c%20" / "ledger.db")
