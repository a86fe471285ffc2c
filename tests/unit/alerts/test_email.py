"""The mail sink against real SMTP servers."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from jobresults.alerts.email import EmailSink
from jobresults.alerts.model import Kind, SinkError
from jobresults.settings import AlertsSettings
from tests.services.smtp_server import (
    PASSWORD,
    USERNAME,
    Certificate,
    SilentSmtpServer,
    SmtpServer,
    StartSmtp,
)
from tests.support import notifications
from tests.support.notifications import SAMPLE, notification


def sink_of(server: SmtpServer | SilentSmtpServer, **changes: Any) -> EmailSink:
    options = {
        "host": "127.0.0.1",
        "port": server.port,
        "tls": "none",
        "from_address": "Job results <alerts@example.com>",
        "to_addresses": ["oncall@example.com"],
        **changes,
    }
    return EmailSink(AlertsSettings.model_validate({"email": options}))


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))


def text_of(server: SmtpServer, subtype: str) -> str:
    part = server.messages[-1].get_body((subtype,))
    assert part is not None
    return str(part.get_content())


def test_a_mail_says_in_text_and_html_what_slack_says(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    sink_of(server).send(notification(note="grouping unavailable"))
    (mail,) = server.messages
    assert mail["Subject"] == "🔴 ERROR score: ValueError [jobresults production]"
    assert mail["Auto-Submitted"] == "auto-generated"
    for subtype in ("plain", "html"):
        text = text_of(server, subtype)
        for told in (
            "🔴 ERROR score: ValueError · 3× · 3 jobs · 1 customer",
            "grouping unavailable",
            "of message 3 is no number",
            "2026-09-21 14:13:20 UTC",
            "worker-0 (2), worker-1 (1)",
            "return Decimal(text)",
            "https://wiki.example.com/runbooks/score",
            "team-scoring",
        ):
            assert told in text
    assert "<script" not in text_of(server, "html")


def test_the_mails_of_a_group_make_one_thread(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    sink = sink_of(server)
    receipt = sink.send(notification())
    sink.update(notifications.grown(), receipt)
    sink.send(notifications.resolved())
    first, grown, over = server.messages
    assert first["Message-ID"] == receipt.message_id
    for follow_up in (grown, over):
        assert follow_up["In-Reply-To"] == follow_up["References"] == first["Message-ID"]
        assert follow_up["Subject"] == f"Re: {first['Subject']}"
    assert len({mail["Message-ID"] for mail in server.messages}) == 3
    assert "quiet for 15 min" in text_of(server, "plain")
    # Sent twice it is the same mail, so that servers drop one.
    assert sink.send(notification()).message_id == first["Message-ID"]


def test_a_digest_lists_each_problem(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    sink_of(server).send(notifications.digest(120))
    assert server.messages[0]["Subject"] == "🔴 120 problems · 360× · jobresults production"
    for subtype in ("plain", "html"):
        assert "score: Error99 ·" in text_of(server, subtype)
        assert "… and 20 more" in text_of(server, subtype)


def test_mails_go_where_the_route_says(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    addresses = ("one@example.com", "two@example.com")
    sink_of(server).send(notification(mail_addresses=addresses))
    assert server.recipients == [list(addresses)]


def test_foreign_text_forges_no_header_and_no_markup(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    evil = "x\r\nBcc: evil@example.com\r\n\r\n<script>alert(1)</script>"
    sample = replace(SAMPLE, title=evil, message=evil + "!", frames=evil, task=evil)
    sink_of(server).send(notification(sample=sample))
    sink_of(server).send(notification(Kind.TEST, sample=sample))
    for mail in server.messages:
        assert mail["Bcc"] is None
        assert "\\r\\nBcc" in mail["Subject"]
    assert "<script" not in text_of(server, "html")
    assert server.recipients == [["oncall@example.com"]] * 2


def test_canary_secrets_are_in_no_part_of_a_mail(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    leak = "POST https://hooks.slack.com/services/T0/B0/canary; password=canary"
    sample = replace(SAMPLE, title=leak, message=leak + "!", frames=leak)
    sink_of(server).send(notification(sample=sample, note=leak, owner=leak))
    said = [str(server.messages[0]["Subject"]), text_of(server, "plain"), text_of(server, "html")]
    assert "canary" not in "".join(said)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.usefixtures("trusted")
def test_it_logs_in_over_tls(start_smtp: StartSmtp, tls: Any) -> None:
    server = start_smtp(tls, login=True)
    sink_of(server, tls=tls, username=USERNAME, password=PASSWORD).send(notification())
    assert (len(server.messages), server.logins) == (1, 1)


@pytest.mark.usefixtures("trusted")
def test_a_wrong_password_is_permanent_and_in_no_error(start_smtp: StartSmtp) -> None:
    server = start_smtp("starttls", login=True)
    with pytest.raises(SinkError, match="535") as caught:
        sink_of(server, tls="starttls", username=USERNAME, password="canaryWrong").send(
            notification()
        )
    assert caught.value.permanent
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_that_nobody_vouches_for_is_refused(start_smtp: StartSmtp, tls: Any) -> None:
    server = start_smtp(tls)
    with pytest.raises(SinkError, match="certificate is not valid") as caught:
        sink_of(server, tls=tls).send(notification())
    assert caught.value.permanent
    assert not server.messages


def test_it_never_goes_without_tls_that_was_asked_for(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    with pytest.raises(SinkError, match="STARTTLS") as caught:
        sink_of(server, tls="starttls").send(notification())
    assert caught.value.permanent
    assert not server.messages


@pytest.mark.parametrize(("answer", "permanent"), [("451 later", False), ("554 no", True)])
def test_the_server_s_word_tells_whether_to_try_again(
    start_smtp: StartSmtp, answer: str, permanent: bool
) -> None:
    server = start_smtp()
    server.script.append(answer)
    with pytest.raises(SinkError, match=answer.replace(" ", ": ")) as caught:
        sink_of(server).send(notification())
    assert caught.value.permanent is permanent


def test_a_server_that_never_greets_is_given_up_in_time(silent_smtp: SilentSmtpServer) -> None:
    began = time.monotonic()
    with pytest.raises(SinkError) as caught:
        sink_of(silent_smtp, deadline_seconds=0.3).send(notification())
    assert not caught.value.permanent
    assert time.monotonic() - began < 5


def test_a_server_that_is_not_there_is_a_failure_of_the_moment(
    silent_smtp: SilentSmtpServer,
) -> None:
    silent_smtp.close()
    with pytest.raises(SinkError, match="out of reach: ConnectionRefusedError") as caught:
        sink_of(silent_smtp).send(notification())
    assert not caught.value.permanent


def test_an_address_that_is_none_is_named(start_smtp: StartSmtp) -> None:
    with pytest.raises(SinkError, match=r"alerts\.routes") as caught:
        sink_of(start_smtp()).send(notification(mail_addresses=("a\r\nBcc: b@example.com",)))
    assert caught.value.permanent
