"""Calling the service from Python; needs requests and backoff, none of the service's own
dependencies.
"""

from __future__ import annotations

from jobresults.client.client import Client
from jobresults.client.exceptions import (
    AuthenticationFailed,
    ClientError,
    Conflict,
    InvalidCallback,
    InvalidRequest,
    JobCanceled,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobTimeout,
    RateLimited,
    ServiceUnavailable,
)
from jobresults.client.job_handle import JobHandle
from jobresults.client.verification import verify_callback

__all__ = [
    "AuthenticationFailed",
    "Client",
    "ClientError",
    "Conflict",
    "InvalidCallback",
    "InvalidRequest",
    "JobCanceled",
    "JobExpired",
    "JobFailed",
    "JobHandle",
    "JobNotFound",
    "JobTimeout",
    "RateLimited",
    "ServiceUnavailable",
    "verify_callback",
]
