"""A mail server: plain, STARTTLS or TLS from the start, with a login, answering by a script."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

Tls = Literal["none", "starttls", "implicit"]

USERNAME, PASSWORD = "alerts", "canaryMailPassword"


class SmtpServer:
    """`messages`: what was taken, oldest first. `script`: answers to DATA before `250 OK`."""

    def __init__(self, tls: Tls, context: ssl.SSLContext | None, *, login: bool) -> None:
        self.messages: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.script: deque[str] = deque()
        self.logins = 0
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=_free_port(),
            ssl_context=context if tls == "implicit" else None,
            tls_context=context if tls == "starttls" else None,
            require_starttls=tls == "starttls",
            # aiosmtpd does not see that a port itself is encrypted, and warns of requiring it.
            auth_required=login and tls == "starttls",
            auth_require_tls=tls == "starttls",
            authenticator=self._authenticate,
        )
        self._controller.start()

    @property
    def port(self) -> int:
        return int(self._controller.port)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        """aiosmtpd's hook: a message has come."""
        if self.script:
            return self.script.popleft()
        message = message_from_bytes(envelope.content, policy=policy.default)
        self.messages.append(cast(EmailMessage, message))
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 OK"

    def _authenticate(self, *arguments: Any) -> AuthResult:
        data = arguments[4]
        assert isinstance(data, LoginPassword)
        right = (data.login, data.password) == (USERNAME.encode(), PASSWORD.encode())
        self.logins += right
        return AuthResult(success=right, handled=right)

    def close(self) -> None:
        self._controller.stop()


class SilentSmtpServer:
    """Takes connections and never greets."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            while True:
                self._taken.append(self._socket.accept()[0])
        except OSError:
            return

    def close(self) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for taken in (self._socket, *self._taken):
            taken.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Certificate:
    """A certificate for 127.0.0.1 that nobody trusts who does not read `file`."""

    def __init__(self, directory: Path) -> None:
        self.file, key = directory / "certificate.pem", directory / "key.pem"
        openssl = shutil.which("openssl")
        if openssl is None:
            pytest.skip("needs openssl")
        command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        command += ["-keyout", str(key), "-out", str(self.file)]
        subprocess.run(command, check=True, capture_output=True)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.file, key)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


StartSmtp = Callable[..., SmtpServer]


@pytest.fixture
def start_smtp(request: pytest.FixtureRequest) -> Iterator[StartSmtp]:
    """Starts mail servers: `start_smtp("starttls", login=True)`."""
    with ExitStack() as running:

        def start(tls: Tls = "none", *, login: bool = False) -> SmtpServer:
            context = None if tls == "none" else request.getfixturevalue("certificate").context
            server = SmtpServer(tls, context, login=login)
            running.callback(server.close)
            return server

        yield start


@pytest.fixture
def silent_smtp() -> Iterator[SilentSmtpServer]:
    server = SilentSmtpServer()
    yield server
    server.close()
