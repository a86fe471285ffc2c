"""The ways alerts take: whether there are any, and whether something answers at their ends. Nothing
is sent, unless it is asked for.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Iterator

from pydantic import SecretStr

from jobresults.alerts.sinks import configured
from jobresults.alerts.trial import run_trial
from jobresults.doctor.findings import Finding, Subject, error, ok, warning
from jobresults.doctor.places import Unreached, reach_url
from jobresults.errors import ConfigurationError, RedisUnavailable
from jobresults.settings import EmailSettings, Settings

_SECONDS = 4.0


def check(subject: Subject) -> Iterator[Finding]:
    """Slack, mail and the heartbeat's URL, as far as there are settings for them."""
    alerts = subject.settings.alerts
    sinks = configured(alerts)
    if not sinks:
        text = "neither Slack nor mail is configured: nobody hears of errors"
        yield warning("alerts", text, "set alerts.slack or alerts.email: docs/alerts.md")
    if "slack" in sinks:
        yield reached("alerts.slack", alerts.slack.webhook_url or alerts.slack.api_url)
    if "email" in sinks:
        yield _mail_server(alerts.email)
    if alerts.heartbeat_url is not None:
        yield reached("alerts.heartbeat", alerts.heartbeat_url)


def send(settings: Settings, seconds: float) -> Iterator[Finding]:
    """Send a test message the way of all alerts, and say what became of it."""
    remedy = "see docs/alerts.md, and the log of maintenance"
    try:
        verdicts = run_trial(settings, seconds)
    except (ConfigurationError, RedisUnavailable) as problem:
        yield error("alerts.send", problem.detail, "mend Redis first: alerts go through it")
        return
    for sink, verdict in verdicts.items():
        if verdict.delivered:
            yield ok(f"alerts.send.{sink}", verdict.text)
        elif verdict.text != "not configured":
            yield error(f"alerts.send.{sink}", verdict.text, remedy)
    if all(verdict.text == "not configured" for verdict in verdicts.values()):
        yield error(
            "alerts.send", "there is nowhere to send to", "set alerts.slack or alerts.email"
        )


def reached(name: str, url: SecretStr | str) -> Finding:
    """Whether something answers at a URL."""
    try:
        return ok(name, reach_url(url, _SECONDS))
    except Unreached as problem:
        return error(name, str(problem), problem.remedy)


def _mail_server(email: EmailSettings) -> Finding:
    """Its greeting and, if it is to be encrypted, that; no login, no mail."""
    name, where = "alerts.email", f"{email.host}:{email.port}"
    context = ssl.create_default_context()
    ours = socket.gethostname()  # else smtplib looks it up, which may take long
    try:
        smtp: smtplib.SMTP = (
            smtplib.SMTP_SSL(str(email.host), email.port, ours, timeout=_SECONDS, context=context)
            if email.tls == "implicit"
            else smtplib.SMTP(str(email.host), email.port, ours, timeout=_SECONDS)
        )
        with smtp:
            if email.tls == "starttls":
                smtp.starttls(context=context)
            smtp.ehlo_or_helo_if_needed()
    except ssl.SSLCertVerificationError as problem:
        text = f"{where}: its certificate is not valid: {problem.verify_message}"
        return error(name, text, "trust its authority here (SSL_CERT_FILE), or mend it")
    except (OSError, smtplib.SMTPException) as problem:
        text = f"{where}: {problem}"
        return error(name, text, "mend alerts.email.host, port or tls, or let us connect there")
    how = {"none": "without TLS", "starttls": "by STARTTLS", "implicit": "by TLS"}[email.tls]
    return ok(name, f"{where} greets us, {how}")
