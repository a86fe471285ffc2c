"""Links in messages to the service itself: to its pages, and those that let whoever holds them
silence one group, signed and good for six days.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import quote, urlencode

from jobresults.alerts import runbooks
from jobresults.alerts.model import Group
from jobresults.settings import AlertLinksSettings

PATH = "/v1/silence-link"
JOB_PATH = "/jobs/"
RUNBOOK_PATH = "/docs/runbooks/"
VALID_SECONDS = 7 * 86_400
# So that messages that are edited keep their link, and it does not change at every look.
_ROUNDING_SECONDS = 86_400


def job_page(base_url: str | None, job_id: str | None) -> str | None:
    """Where people look at a job; None without one, or without an address to lead to."""
    if base_url is None or job_id is None:
        return None
    return f"{_base(base_url)}{JOB_PATH}{quote(job_id, safe='')}"


def runbook_page(base_url: str | None, name: str) -> str | None:
    """Where the service shows a runbook; None if none of that name ships with it."""
    if base_url is None or name not in runbooks.names():
        return None
    return f"{_base(base_url)}{RUNBOOK_PATH}{name}"


class SilenceLinks:
    """Makes and checks them; without `alerts.links.signing_key` and `base_url` there are none."""

    def __init__(self, settings: AlertLinksSettings) -> None:
        self._base_url = settings.base_url
        key = settings.signing_key
        self._key = None if key is None else key.get_secret_value().encode()

    def url(self, group: Group) -> str | None:
        """Where a group can be silenced; None if there is no key, or no address to lead to."""
        if self._key is None or self._base_url is None:
            return None
        expires = int(time.time() + VALID_SECONDS) // _ROUNDING_SECONDS * _ROUNDING_SECONDS
        query = {
            "fingerprint": group.fingerprint,
            "expires": str(expires),
            "signature": self._signature(group.fingerprint, str(expires)),
        }
        return f"{_base(self._base_url)}{PATH}?{urlencode(query)}"

    def is_valid(self, fingerprint: str, expires: str, signature: str) -> bool:
        """Whether this service made the link, and it is still good."""
        if self._key is None or not hmac.compare_digest(
            self._signature(fingerprint, expires).encode(), signature.encode("utf-8", "replace")
        ):
            return False
        return int(expires) >= time.time()  # it is ours, so it is a number

    def _signature(self, fingerprint: str, expires: str) -> str:
        assert self._key is not None
        text = f"silence\n{fingerprint}\n{expires}".encode("utf-8", "replace")
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()


def _base(url: str) -> str:
    return url.rstrip("/")
