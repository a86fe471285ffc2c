"""Deploy when somebody pushes: a task that asks a deploy service to do it.

Nothing of the webhook reaches a shell. The service that deploys is named by the environment, not by
the webhook. See docs/webhooks.md and deploy_on_push.yaml.
"""

from __future__ import annotations

import os
from typing import Annotated

import requests
from pydantic import BaseModel, Field

from jobresults import PermanentError, current_job, task

_SECONDS = 30
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]


class Deployment(BaseModel):
    """What was asked for, and how the deploy service answered."""

    repository: str
    commit: str
    status: int


@task(name="deploy", max_attempts=5, timeout_seconds=60)
def deploy(repository: str, commit: Commit) -> Deployment:
    """Have a commit deployed by the service at DEPLOY_HOOK_URL. Its token, if it wants one, is in
    DEPLOY_HOOK_TOKEN.
    """
    job = current_job()
    headers = {"Idempotency-Key": job.id}  # the same in each attempt: it is deployed once
    token = os.environ.get("DEPLOY_HOOK_TOKEN")
    if token:
        headers["Authorization"] = f"Bearer {token}"
    response = requests.post(
        os.environ["DEPLOY_HOOK_URL"],
        json={"repository": repository, "commit": commit},
        headers=headers,
        timeout=_SECONDS,
        allow_redirects=False,
    )
    job.log.info("the deploy service answered %d", response.status_code)
    if response.status_code >= 500 or response.status_code in (408, 425, 429):
        raise RuntimeError(f"the deploy service answered {response.status_code}")  # tried again
    if not response.ok:
        raise PermanentError(f"the deploy service refused: {response.status_code}")
    return Deployment(repository=repository, commit=commit, status=response.status_code)
