"""Alerts by mail, over SMTP."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage

from jobresults.alerts import mail
from jobresults.alerts.deadline import Deadline
from jobresults.alerts.model import Notification, Receipt, SinkError
from jobresults.alerts.phrases import line
from jobresults.settings import AlertsSettings, EmailSettings

logger = logging.getLogger(__name__)


class EmailSink:
    """As `jobresults.alerts.model.Sink`. Mails cannot be edited; those of a group make a thread."""

    name = "email"
    can_edit = False

    def __init__(self, settings: AlertsSettings) -> None:
        if settings.email.host is None:
            raise ValueError("alerts.email needs host")
        self._settings = settings.email
        self._deadline = Deadline("the mail server", settings.email.deadline_seconds)

    def send(self, notification: Notification) -> Receipt:
        """Hand the mail to the server; each call makes its own connection.

        Raises:
            SinkError
        """
        recipients = notification.mail_addresses or self._settings.to_addresses
        try:
            message = mail.message(notification, self._settings.from_address, recipients)
        except ValueError as error:
            reason = f"an address in alerts.email or alerts.routes is none: {error}"
            raise SinkError(line(reason, 300), permanent=True) from None
        self._deliver(message, recipients)
        return Receipt(message_id=message["Message-ID"])

    def update(self, notification: Notification, receipt: Receipt) -> Receipt:
        """A further mail of the thread.

        Raises:
            SinkError
        """
        return self.send(notification)

    def _deliver(self, message: EmailMessage, recipients: tuple[str, ...]) -> None:
        connection = _Connection(self._settings)
        try:
            self._deadline.run(lambda: connection.deliver(message, recipients), connection.cut)
        except SinkError:
            raise
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _ in error.recipients.values()]
            reason = f"the mail server refuses all recipients: {sorted(set(codes))}"
            raise SinkError(reason, permanent=min(codes) >= 500) from None
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            reason = line(f"the mail server answered {error.smtp_code}: {text}", 300)
            raise SinkError(reason, permanent=error.smtp_code >= 500) from None
        except ssl.SSLCertVerificationError as error:
            reason = f"the mail server's certificate is not valid: {error.verify_message}"
            raise SinkError(reason, permanent=True) from None
        except smtplib.SMTPNotSupportedError as error:
            reason = f"the mail server lacks what alerts.email asks for: {error}"
            raise SinkError(line(reason, 300), permanent=True) from None
        except (OSError, smtplib.SMTPException) as error:
            reason = f"the mail server is out of reach: {type(error).__name__}"
            raise SinkError(reason) from None


class _Connection:
    """One connection, for one mail."""

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings
        self._smtp: smtplib.SMTP | None = None

    def deliver(self, message: EmailMessage, recipients: tuple[str, ...]) -> None:
        chosen = self._settings
        smtp = self._smtp = self._new()
        try:
            smtp.connect(str(chosen.host), chosen.port)
            if chosen.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if chosen.username is not None and chosen.password is not None:
                smtp.login(chosen.username, chosen.password.get_secret_value())
            refused = smtp.send_message(message, chosen.from_address, list(recipients))
            if refused:
                logger.warning("the mail server refused %d recipients", len(refused))
            with suppress(smtplib.SMTPException, OSError):
                smtp.quit()  # the mail is taken, whatever becomes of this
        finally:
            smtp.close()

    def _new(self) -> smtplib.SMTP:
        chosen = self._settings
        name = socket.gethostname()  # else smtplib looks it up, which may take long
        seconds = chosen.deadline_seconds
        if chosen.tls == "implicit":
            context = ssl.create_default_context()
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                local_hostname=name, timeout=seconds, context=context
            )
        else:
            smtp = smtplib.SMTP(local_hostname=name, timeout=seconds)
        # What STARTTLS verifies. Only a constructor that connects at once sets it, and `cut` could
        # not reach that one's socket.
        smtp._host = chosen.host  # type: ignore[attr-defined]
        return smtp

    def cut(self) -> None:
        """From another thread: whatever waits for the server ends now."""
        connection = self._smtp.sock if self._smtp is not None else None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
