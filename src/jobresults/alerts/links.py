"""Links in messages that let whoever holds them silence one group: signed, good for six days."""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlencode

from jobresults.alerts.model import Group
from jobresults.settings import AlertLinksSettings

PATH = "/v1/silence-link"
VALID_SECONDS = 7 * 86_400
# So that messages that are edited keep their link, and it does not change at every look.
_ROUNDING_SECONDS = 86_400


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
        return f"{self._base_url.rstrip('/')}{PATH}?{urlencode(query)}"

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
