"""Whether a job may name the URL that is told how it ends."""

from __future__ import annotations

from jobresults.database import Database
from jobresults.errors import InvalidRequest
from jobresults.settings import CallbacksSettings
from jobresults.webhooks import signing_secrets
from jobresults.webhooks.targets import check_url

_FIELD = "callback_url"


class CallbackUrls:
    """Checks for one process. Who has a secret keeps one, so that is asked once for each client."""

    def __init__(self, database: Database, settings: CallbacksSettings) -> None:
        self._database = database
        self._settings = settings
        self._have_secrets: set[str] = set()

    def check(self, url: str, client: str) -> None:
        """Raises
        InvalidRequest: callbacks may not go there, or could not be signed.
        LedgerUnavailable
        """
        check_url(url, self._settings, field=_FIELD)
        if client in self._have_secrets:
            return
        if not signing_secrets.active(self._database, client, None):
            message = "your callbacks have no secret to be signed with; POST /v1/callback-secret"
            raise InvalidRequest(f"{_FIELD}: {message}", [{"path": _FIELD, "message": message}])
        self._have_secrets.add(client)
