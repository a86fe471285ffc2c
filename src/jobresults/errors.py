"""Every failure this service raises on purpose, as one tree; web turns each into an RFC 9457
problem.

JobResultsError
├── ConfigurationError        the start is refused: names the key, the problem, the remedy
│   └── CatalogError          a task module or a task definition is wrong
├── RequestError              the caller can mend it (4xx)
│   ├── InvalidRequest        400: malformed or invalid input, every problem listed
│   │   └── UnknownTask       400: no such task; names the nearest
│   ├── Unauthenticated       401
│   │   └── BadSignature      401: a webhook that its source did not send, or not just now
│   ├── Forbidden             403
│   ├── NotFound              404: unknown, or another client's: the two are never told apart
│   ├── BodyTooSlow           408: the body did not come in time
│   ├── Conflict              409
│   │   └── IdempotencyInFlight   the first request with the key is not answered yet
│   ├── Gone                  410: kept time over
│   ├── PayloadTooLarge       413
│   ├── UnsupportedMediaType  415
│   ├── IdempotencyMismatch   422: the key was used with another body
│   └── TooManyRequests       429: more than the client's rate allows; says when to try again
│       └── QuotaExceeded     429: more queued jobs or stored bytes than the client may have
└── Unavailable               503: a dependency is out of reach; retrying helps
    ├── LedgerUnavailable     the database
    └── RedisUnavailable      Redis
"""

from __future__ import annotations

from typing import Any, ClassVar


class JobResultsError(Exception):
    """Root of the tree. `detail` is one sentence for a human."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ConfigurationError(JobResultsError):
    """The process must not start; `detail` names the key, what is wrong with it and what to do."""


class CatalogError(ConfigurationError):
    """A task module cannot be imported or a task is defined wrongly."""


class RequestError(JobResultsError):
    """The caller's request cannot be served as it stands.

    `extra` becomes members of the problem document; its values must be JSON.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    title: ClassVar[str] = "Bad request"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.extra = extra


class InvalidRequest(RequestError):
    """The input is malformed or invalid; `problems` lists every one with its path."""

    code = "invalid_request"
    title = "Invalid request"

    def __init__(
        self, detail: str, problems: list[dict[str, Any]] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail, **({"errors": problems} if problems else {}), **extra)


class UnknownTask(InvalidRequest):
    """No registered task bears that name."""

    code = "unknown_task"
    title = "Unknown task"


class Unauthenticated(RequestError):
    """No credentials, or bad ones."""

    status, code, title = 401, "unauthenticated", "Authentication required"


class BadSignature(Unauthenticated):
    """A webhook is not signed as its source signs."""

    code, title = "bad_signature", "Bad signature"


class Forbidden(RequestError):
    """Known caller, missing scope."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(RequestError):
    """Unknown or foreign; one answer for both."""

    status, code, title = 404, "not_found", "Not found"


class BodyTooSlow(RequestError):
    """The body did not come within `web.body_timeout_seconds`."""

    status, code, title = 408, "request_timeout", "Request timeout"


class Conflict(RequestError):
    """The thing's state forbids it."""

    status, code, title = 409, "conflict", "Conflict"


class IdempotencyInFlight(Conflict):
    """The first request with this Idempotency-Key has not been answered yet."""

    code, title = "idempotency_in_flight", "Request in flight"


class Gone(RequestError):
    """The job ended and its kept time is over."""

    status, code, title = 410, "result_expired", "Result expired"


class PayloadTooLarge(RequestError):
    """The body is over the limit."""

    status, code, title = 413, "payload_too_large", "Payload too large"


class UnsupportedMediaType(RequestError):
    """Not JSON, or an encoded body."""

    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class IdempotencyMismatch(RequestError):
    """The Idempotency-Key was used with another body."""

    status, code, title = 422, "idempotency_key_reused", "Idempotency-Key reused"


class TooManyRequests(RequestError):
    """The client asks for more than it may have; `retry_after_seconds` later it may succeed."""

    status, code, title = 429, "rate_limited", "Too many requests"

    def __init__(self, detail: str, retry_after_seconds: int, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.retry_after_seconds = retry_after_seconds


class QuotaExceeded(TooManyRequests):
    """The client has as many queued jobs, or stored bytes, as it may have."""

    code, title = "quota_exceeded", "Quota exceeded"


class Unavailable(JobResultsError):
    """A dependency is out of reach; the same request may succeed later."""

    code: ClassVar[str] = "unavailable"
    title: ClassVar[str] = "Temporarily unavailable"


class LedgerUnavailable(Unavailable):
    """The database did not answer, is locked, or its pool is full."""

    code = "ledger_unavailable"


class RedisUnavailable(Unavailable):
    """Redis did not answer."""

    code = "redis_unavailable"


class PermanentError(Exception):
    """Raised by a task: trying again cannot help. The job fails at once, whatever attempts are
    left.
    """
