"""Sending to URLs that strangers chose."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from email.utils import formatdate
from pathlib import Path

import pytest

from jobresults.errors import ConfigurationError
from jobresults.settings import CallbacksSettings
from jobresults.webhooks.sender import Answer, NotSent, Resolve, Sender
from tests.services.receiver import Receiver, Reply
from tests.unit.webhooks.conftest import HOST

LOOPBACK = "127.0.0.0/8"
# So much slower may a busy machine be than the deadline says.
PATIENCE_SECONDS = 5.0


class Rebinding:
    """A name server that gives another answer each time it is asked; the last is repeated."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def __call__(self, host: str, port: int) -> Sequence[str]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return answer


def sender(port: int, resolve: Resolve | None = None, **settings: object) -> Sender:
    chosen = {
        "allow_http": True,
        "allowed_ports": [port],
        "allowed_networks": [LOOPBACK],
        "timeout_seconds": 1.0,
        **settings,
    }
    return Sender(CallbacksSettings.model_validate(chosen), resolve or Rebinding(["127.0.0.1"]))


def post(port: int, url: str, resolve: Resolve | None = None, **settings: object) -> Answer:
    return sender(port, resolve, **settings).post(url, b"{}", {"webhook-id": "1"})


def refused(port: int, url: str, resolve: Resolve | None = None, **settings: object) -> str:
    with pytest.raises(NotSent) as caught:
        post(port, url, resolve, **settings)
    return str(caught.value)


@contextmanager
def raw_server(answer: bytes, *, silent_after: bool = False) -> Iterator[int]:
    """Sends these bytes to whoever connects, and then nothing, or the end."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            try:
                while True:
                    connection, _ = listener.accept()
                    connection.recv(65_536)
                    with suppress(OSError):
                        connection.sendall(answer)
                    held.append(connection) if silent_after else connection.close()
            except OSError:
                return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


def test_body_headers_and_answer_go_through(receiver: Receiver) -> None:
    receiver.script("/ok?a=1", Reply(202, body=b"thanks"))
    answer = post(receiver.port, receiver.url("/ok?a=1", HOST))
    assert (answer.status, answer.ok) == (202, True)
    (request,) = receiver.at("/ok?a=1")
    assert request.body == b"{}"
    assert request.headers["Host"] == f"{HOST}:{receiver.port}"
    assert request.id == "1"


def test_the_name_is_looked_up_once_so_rebinding_leads_nowhere(receiver: Receiver) -> None:
    """Red if the sender connects by name, or asks again after the check."""
    resolve = Rebinding(["127.0.0.1"], ["10.255.255.1"])
    assert post(receiver.port, receiver.url("/rebind", "rebinding.test"), resolve).ok
    assert resolve.asked == 1
    resolve = Rebinding(["10.255.255.1"], ["127.0.0.1"])
    url = receiver.url("/rebound", "rebinding.test")
    assert "not public" in refused(receiver.port, url, resolve)
    assert resolve.asked == 1
    assert receiver.at("/rebound") == []


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"], ["::1"]],
)
def test_one_address_that_is_not_public_is_enough_to_refuse(
    receiver: Receiver, addresses: list[str]
) -> None:
    url = receiver.url("/inner", HOST)
    said = refused(receiver.port, url, Rebinding(addresses), allowed_networks=[])
    assert said == f"{HOST} leads to an address that is not public"
    assert receiver.at("/inner") == []


def test_numbers_that_only_the_system_takes_for_addresses_are_checked_too(
    receiver: Receiver,
) -> None:
    for host in ("127.1", "0x7f000001", "2130706433", "localhost"):
        chosen = CallbacksSettings(allow_http=True, allowed_ports=(receiver.port,))
        with pytest.raises(NotSent, match=r"not public|no address"):
            Sender(chosen).post(receiver.url("/numbers", host), b"", {})
    assert receiver.at("/numbers") == []


def test_a_redirect_is_an_answer_and_not_followed(receiver: Receiver) -> None:
    receiver.script("/moved", Reply(307, {"Location": receiver.url("/elsewhere")}))
    assert post(receiver.port, receiver.url("/moved", HOST)) == Answer(307)
    assert receiver.at("/elsewhere") == []


def test_proxies_of_the_environment_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert post(receiver.port, receiver.url("/direct", HOST)).ok


def test_an_address_that_refuses_leaves_the_others(receiver: Receiver) -> None:
    resolve = Rebinding(["127.0.0.2", "127.0.0.1"])
    assert post(receiver.port, receiver.url("/second", HOST), resolve).ok


def test_tls_is_for_the_name_although_the_address_is_pinned(
    tls_receiver: Receiver, certificate: Path
) -> None:
    url = tls_receiver.url("/tls", HOST, "https")
    assert post(tls_receiver.port, url, ca_file=str(certificate)).ok
    assert tls_receiver.at("/tls")[0].headers["Host"] == f"{HOST}:{tls_receiver.port}"
    other = tls_receiver.url("/tls-other", "other.test", "https")
    assert "certificate" in refused(tls_receiver.port, other, ca_file=str(certificate))
    assert "certificate" in refused(tls_receiver.port, url)
    assert tls_receiver.at("/tls-other") == []


def test_who_does_not_speak_tls_or_http_is_told_apart(receiver: Receiver) -> None:
    url = receiver.url("/plain", HOST, "https")
    assert refused(receiver.port, url).startswith("no TLS connection")
    with raw_server(b"SSH-2.0-OpenSSH\r\n") as port:
        assert "not HTTP" in refused(port, f"http://{HOST}:{port}/")
    assert refused(port, f"http://{HOST}:{port}/").startswith("no connection: ")


@pytest.mark.parametrize(
    "reply", [Reply(hangs=True), Reply(200, drips=True)], ids=["hangs", "drips"]
)
def test_the_deadline_holds_however_the_answer_comes(receiver: Receiver, reply: Reply) -> None:
    """Red if the timeout is the socket's alone: dripping goes on for ever."""
    receiver.script("/slow", reply)
    began = time.monotonic()
    said = refused(receiver.port, receiver.url("/slow", HOST), timeout_seconds=0.5)
    assert said == "no answer within 0.5 s"
    assert time.monotonic() - began < PATIENCE_SECONDS


def test_the_deadline_holds_for_a_name_server_and_a_handshake_that_hang(
    tls_receiver: Receiver,
) -> None:
    released = threading.Event()

    def never(host: str, port: int) -> Sequence[str]:
        released.wait(60)
        return []

    try:
        said = refused(443, f"https://{HOST}/", never, timeout_seconds=0.3)
        assert said == "no answer within 0.3 s"
    finally:
        released.set()
    with raw_server(b"", silent_after=True) as port:
        said = refused(port, f"https://{HOST}:{port}/", timeout_seconds=0.3)
        assert said == "no answer within 0.3 s"


@pytest.mark.parametrize(
    "endless", [b"\r\n" + b"x" * 200_000, (b"A: " + b"x" * 8_000 + b"\r\n") * 50]
)
def test_of_an_endless_answer_only_the_beginning_is_read(endless: bytes) -> None:
    """Red without the limit: what comes after it never ends."""
    with raw_server(b"HTTP/1.1 200 OK\r\n" + endless, silent_after=True) as port:
        began = time.monotonic()
        assert post(port, f"http://{HOST}:{port}/", timeout_seconds=30).ok
        assert time.monotonic() - began < 10


def test_a_body_that_never_ends_is_not_waited_for_beyond_the_deadline() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\n\r\nx", silent_after=True) as port:
        assert post(port, f"http://{HOST}:{port}/", timeout_seconds=0.3).ok


@pytest.mark.parametrize(
    ("text", "seconds"), [("120", 120), ("soon", None), ("-1", None), (formatdate(0), 0)]
)
def test_retry_after_is_understood(receiver: Receiver, text: str, seconds: float | None) -> None:
    receiver.script("/later", Reply(503, {"Retry-After": text}))
    answer = post(receiver.port, receiver.url("/later", HOST))
    assert (answer.status, answer.retry_after_seconds) == (503, seconds)


def test_a_url_that_is_not_allowed_any_more_is_not_sent(receiver: Receiver) -> None:
    url = receiver.url("/closed", HOST)
    assert "port" in refused(receiver.port, url, allowed_ports=[443])


def test_a_name_without_address_is_said(receiver: Receiver) -> None:
    def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    url = receiver.url("/nowhere", HOST)
    assert refused(receiver.port, url, unknown) == f"no address is known for {HOST}"


def test_a_certificate_file_that_cannot_be_used_stops_the_start(tmp_path: Path) -> None:
    for file in (tmp_path / "absent.pem", Path(__file__)):
        with pytest.raises(ConfigurationError, match=r"callbacks\.ca_file"):
            Sender(CallbacksSettings(ca_file=str(file)))
