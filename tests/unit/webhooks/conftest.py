"""A server for callbacks, with and without TLS."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.receiver import Receiver, running_receiver

HOST = "callbacks.test"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `callbacks.test` that signs itself; its key stands beside it."""
    if shutil.which("openssl") is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs the openssl command")
    directory = tmp_path_factory.mktemp("tls")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "certificate.pem")]
    subprocess.run(
        ["openssl", *words.split(), *names, *files], check=True, capture_output=True, timeout=60
    )
    return directory / "certificate.pem"


@pytest.fixture(scope="module")
def tls_receiver(certificate: Path) -> Iterator[Receiver]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with running_receiver(context) as running:
        yield running
