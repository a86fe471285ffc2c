"""The runbooks: a page for each alert, and nothing in them that does not exist."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import psycopg
import pytest
import yaml

from jobresults.alerts.routing import ANY_RUNBOOK
from jobresults.jobs import incidents
from jobresults.settings import Settings
from jobresults.telemetry.metrics import CATALOGUE
from monitoring.dashboards.grafana import runbooks_url
from tests.services.postgresql_server import PostgresqlServer
from tests.services.redis_server import RedisServer
from tests.support.documented_commands import check, commands_in, setting_exists, statements
from tests.support.promtool import check_expressions

ROOT = Path(__file__).parents[3]
INDEX = ROOT / "docs/runbooks/README.md"
PAGES = {path.stem: path.read_text() for path in sorted(INDEX.parent.glob("*.md")) if path != INDEX}
COMMANDS = [words for text in (INDEX.read_text(), *PAGES.values()) for words in commands_in(text)]
SECTIONS = ["Meaning", "Impact", "First checks", "Mitigation", "Escalation"]
ALERTS = {
    rule["alert"]: rule["annotations"]["runbook_url"]
    for path in (ROOT / "monitoring/rules").glob("*.yml")
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}


def pages_of_incidents() -> set[str]:
    """Those that the service's own messages name."""
    named = {ANY_RUNBOOK}
    for name, incident in inspect.getmembers(incidents, inspect.isfunction):
        if not name.startswith("_"):
            required = [
                parameter
                for parameter in inspect.signature(incident).parameters.values()
                if parameter.default is parameter.empty
            ]
            named.add(incident(*("x" for _ in required))["alert_runbook"])
    for path in ("maintenance/watch.py", "webhooks/delivery.py"):
        text = (ROOT / "src/jobresults" / path).read_text()
        named |= set(re.findall(r'(?:Finding|_down)\(\s*"([\w-]+)"', text))
        named |= set(re.findall(r'"alert_runbook": "([\w-]+)"', text))
    return named


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    page_of = {
        alert: re.sub(r"(?<!^)(?=[A-Z])", "-", alert.removeprefix("Jobresults")).lower()
        for alert in ALERTS
    }
    assert PAGES.keys() == {*page_of.values(), *pages_of_incidents()}
    for alert, page in page_of.items():
        assert ALERTS[alert] == f"{runbooks_url()}/{page}.md"
    named = {
        (alert, page)
        for page, text in PAGES.items()
        for alert in re.findall(r"Prometheus alert `(\w+)`", text)
    }
    assert named == set(page_of.items())


def test_the_index_lists_every_page_with_its_title_and_alert() -> None:
    rows = re.findall(r"^\| \[(.+?)\]\(([\w-]+)\.md\) \| (?:`(\w+)`)? ?\|", INDEX.read_text(), re.M)
    assert len(rows) == len(PAGES)
    for title, page, alert in rows:
        assert PAGES[page].startswith(f"# {title}\n\n")
        assert re.findall(r"Prometheus alert `(\w+)`", PAGES[page]) == ([alert] if alert else [])


def test_every_page_has_the_same_sections_and_none_is_empty() -> None:
    for page, text in PAGES.items():
        _, *parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
        assert parts[::2] == SECTIONS, page
        assert all(part.strip() for part in parts[1::2]), page
        assert "```console" in parts[5], f"{page}: first checks are commands"


def test_every_command_could_be_run() -> None:
    assert len(COMMANDS) > 150
    for words in COMMANDS:
        try:
            check(words)
        except Exception as error:
            error.add_note(" ".join(words))
            raise


@pytest.mark.postgresql
def test_postgresql_takes_every_statement(postgresql_server: PostgresqlServer) -> None:
    url = postgresql_server.ledger()
    with psycopg.connect(url, autocommit=True) as connection:
        for words in COMMANDS:
            for statement in statements(words) if words[0] == "psql" else ():
                run = statement if statement.startswith("SHOW") else f"EXPLAIN {statement}"
                connection.execute(run.encode())


def test_redis_takes_every_command(redis_server: RedisServer) -> None:
    for words in COMMANDS:
        if words[0] == "redis-cli" and not words[3].startswith("--"):
            redis_server.client().execute_command(*words[3:])
    redis_server.client().config_set("maxmemory", 0)


def test_prometheus_takes_every_expression(tmp_path: Path) -> None:
    blocks = re.findall(r"^```promql\n(.*?)^```", "".join(PAGES.values()), re.M | re.DOTALL)
    found = [line for block in blocks for line in block.splitlines()]
    check_expressions(found, tmp_path)


def test_metrics_and_settings_that_are_named_exist() -> None:
    metrics = {declared.name for declared in CATALOGUE}
    series = {f"{name}_{part}" for name in metrics for part in ("bucket", "sum", "count")}
    sections = "|".join(Settings.model_fields)
    for page, text in PAGES.items():
        assert set(re.findall(r"\bjobresults_\w+", text)) <= metrics | series, page
        for name in re.findall(rf"`((?:{sections})\.[a-z_.]+)`", text):
            assert setting_exists(name), f"{page}: {name}"
