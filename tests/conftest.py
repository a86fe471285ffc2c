"""What all tests have: an environment without settings, and real services on request."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import pytest

# Each after those it imports, so that pytest can rewrite their assertions.
pytest_plugins = [
    "tests.services.redis_server",
    "tests.services.postgresql_server",
    "tests.services.ledger",
    "tests.services.stacks",
    "tests.services.prometheus_server",
    "tests.services.slack_server",
    "tests.services.sentry_server",
    "tests.services.otlp_receiver",
    "tests.services.smtp_server",
    "tests.services.nginx_server",
]


@pytest.fixture(scope="session", autouse=True)
def shell_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """The JOBRESULTS_… variables of the shell, taken away, like the logins of whoever runs tests:
    no test depends on them by accident.
    """
    found = {name: text for name, text in os.environ.items() if name.startswith("JOBRESULTS_")}
    with pytest.MonkeyPatch.context() as environ:
        for name in found:
            environ.delenv(name)
        environ.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield found
