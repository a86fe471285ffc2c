"""Settings from their sources, and what is said when they are wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobresults.configuration import load_settings, salvage_settings
from jobresults.errors import ConfigurationError
from jobresults.settings import Settings

CONFIG_FILE = Path(__file__).parents[2] / "config.yaml"
SECRET = "correct-horse-battery"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "settings.yaml"


def environ(**variables: str) -> Mapping[str, str]:
    return {f"JOBRESULTS_{name}": text for name, text in variables.items()}


def refusal(file: Path, text: str = "", **variables: str) -> str:
    """What the start is refused with."""
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, environ(**variables))
    return caught.value.detail


def leaves(tree: dict[str, Any], *parents: str) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, *parents, key)
        else:
            yield ".".join([*parents, key]), value


def defaults() -> dict[str, Any]:
    return dict(leaves(json.loads(Settings().model_dump_json())))


def documented() -> dict[str, Any]:
    return dict(leaves(yaml.safe_load(CONFIG_FILE.read_text())))


def test_the_configuration_file_names_every_key_there_is() -> None:
    assert set(documented()) == set(defaults())


@pytest.mark.parametrize("key", documented())
def test_the_configuration_file_shows_the_default_of(key: str) -> None:
    assert documented()[key] == defaults()[key]


def test_every_key_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in documented().items():
        name = "JOBRESULTS_" + key.replace(".", "__").upper()
        if value is not None:
            monkeypatch.setenv(name, value if isinstance(value, str) else json.dumps(value))
    assert load_settings(CONFIG_FILE) == Settings()


def test_settings_without_sources_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.setenv("WEB", '{"port": 1}')
    assert Settings().environment == "development"
    assert load_settings(CONFIG_FILE, {"ENVIRONMENT": "production"}).environment == "development"


def test_the_environment_wins_over_the_file_key_by_key(file: Path) -> None:
    file.write_text("web: {port: 1, workers: 7}")
    web = load_settings(file, environ(WEB__PORT="2")).web
    assert (web.port, web.workers) == (2, 7)


def test_a_list_in_the_environment_is_json(file: Path) -> None:
    file.write_text("tasks: {modules: [one]}")
    settings = load_settings(file, environ(TASKS__MODULES='["two", "three"]'))
    assert settings.tasks.modules == ("two", "three")


def test_a_secret_is_read_from_the_file_that_its_variable_names(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("redis://host\n")
    settings = load_settings(environ=environ(REDIS__URL_FILE=str(tmp_path / "secret")))
    assert settings.redis.url is not None
    assert settings.redis.url.get_secret_value() == "redis://host"


def test_an_empty_secret_file_sets_nothing(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    path = str(tmp_path / "secret")
    variables = environ(ACCOUNTS__TOKEN_KEYS_FILE=path, SENTRY__DSN_FILE=path)
    assert load_settings(environ=variables) == Settings()


def test_a_secret_file_with_a_hyphen_in_front_may_be_missing(file: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert load_settings(environ=environ(SENTRY__DSN_FILE=f"-{path}")) == Settings()
    path.write_text("https://key@host/1")
    assert load_settings(environ=environ(SENTRY__DSN_FILE=f"-{path}")).sentry.dsn is not None
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_settings(environ=environ(SENTRY__DSN_FILE=f"-{tmp_path}"))


def test_settings_do_not_show_their_secrets(file: Path) -> None:
    variables = environ(REDIS__URL=f"redis://:{SECRET}@h", DATABASE__URL=f"postgresql://{SECRET}@h")
    settings = load_settings(environ=variables)
    assert SECRET not in repr(settings) + str(settings) + settings.model_dump_json()


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().web.port = 1


def test_an_unset_name_means_the_file_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}) == Settings()
    Path("config.yaml").write_text("web: {port: 1}")
    assert load_settings(environ={}).web.port == 1


def test_the_environment_may_name_the_file(file: Path) -> None:
    file.write_text("web: {port: 3}")
    assert load_settings(environ=environ(CONFIG=str(file))).web.port == 3


def test_variables_of_the_client_are_not_keys() -> None:
    variables = environ(URL="http://h", TOKEN="t", TOKEN_FILE="/t", DATA_DIR="/d")
    assert load_settings(environ=variables) == load_settings(environ={})


def test_an_empty_file_means_the_defaults(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert load_settings(file, {}) == Settings()


def test_a_named_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml does not exist"):
        load_settings(environ=environ(CONFIG=str(tmp_path / "absent.yaml")))


def test_an_unknown_key_in_the_file_is_refused_with_the_nearest(file: Path) -> None:
    detail = refusal(file, "web: {prot: 80}")
    assert detail == f"web.prot: unknown key ({file}); did you mean web.port?"


def test_an_unknown_section_is_refused_with_the_nearest(file: Path) -> None:
    assert refusal(file, "wbe: {}") == f"wbe: unknown key ({file}); did you mean web?"


def test_an_unknown_key_near_to_none_is_refused_with_all(file: Path) -> None:
    detail = refusal(file, "redis: {zzzzzzzz: 1}")
    assert detail.endswith(
        "valid here: connect_timeout_seconds, sentinels, socket_timeout_seconds, url"
    )


def test_a_key_below_an_unknown_section_is_refused(file: Path) -> None:
    assert refusal(file, ZZZZ__YYYY="1").startswith(
        "zzzz: unknown key (environment: JOBRESULTS_ZZZZ__YYYY); valid here: accounts, alerts"
    )


def test_an_unknown_key_in_an_item_of_a_list_is_refused_with_the_nearest(file: Path) -> None:
    detail = refusal(file, ALERTS__ROUTES='[{"task": "score", "ownr": "risk"}]')
    assert detail.startswith("alerts.routes.0.ownr: unknown key (environment: ")
    assert detail.endswith("did you mean alerts.routes.0.owner?")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ALERTS__ROUTES": '[{"owner": "risk"}]'}, "name a task, a queue or a logger"),
        ({"ALERTS__SLACK__BOT_TOKEN": SECRET}, "bot_token needs channel"),
        ({"ALERTS__EMAIL__HOST": "mail"}, "host needs to_addresses"),
    ],
)
def test_alerts_without_an_address_are_refused(
    file: Path, variables: dict[str, str], message: str
) -> None:
    detail = refusal(file, **variables)
    assert message in detail
    assert SECRET not in detail


def test_an_unknown_variable_is_refused_by_its_name(file: Path) -> None:
    detail = refusal(file, WEB__PROT="80")
    assert "web.prot: unknown key (environment: JOBRESULTS_WEB__PROT)" in detail


def test_a_wrong_value_in_the_file_is_shown_with_its_key(file: Path) -> None:
    detail = refusal(file, "web: {port: 99999}")
    assert detail == f"web.port: Input should be less than or equal to 65535 ({file}); got 99999"


def test_a_wrong_value_in_the_environment_is_shown_with_its_variable(file: Path) -> None:
    detail = refusal(file, "web: {port: 80}", WEB__PORT="eighty")
    assert detail.startswith("web.port: ")
    assert detail.endswith("(environment: JOBRESULTS_WEB__PORT); got 'eighty'")


def test_every_problem_is_told_at_once(file: Path) -> None:
    detail = refusal(file, "web: {prot: 1}\njobs: {max_result_bytes: 0}", ENVIRONMENT="prod")
    assert {line.partition(":")[0] for line in detail.splitlines()} == {
        "web.prot",
        "jobs.max_result_bytes",
        "environment",
    }


@pytest.mark.parametrize(
    "variables",
    [
        {"WORKER__LEASE_SECONDS": "9"},
        {"WORKER__HEARTBEAT_SECONDS": "7.6"},
        {"WORKER__HEARTBEAT_SECONDS": "2", "WORKER__LEASE_SECONDS": "3"},
    ],
)
def test_a_lease_must_outlive_a_lost_heartbeat(file: Path, variables: dict[str, str]) -> None:
    names = ", ".join(f"JOBRESULTS_{name}" for name in variables)
    assert refusal(file, **variables) == (
        f"worker: lease_seconds must be at least twice heartbeat_seconds (environment: {names})"
    )


def test_a_lease_of_two_heartbeats_is_accepted() -> None:
    variables = environ(WORKER__LEASE_SECONDS="4", WORKER__HEARTBEAT_SECONDS="2")
    assert load_settings(environ=variables).worker.lease_seconds == 4


def test_an_unknown_key_of_a_client_is_refused_with_the_nearest(file: Path) -> None:
    file.write_text("limits: {clients: {acme: {max_queue_jobs: 1}}}")
    with pytest.raises(ConfigurationError, match=r"did you mean limits.clients.acme.max_queued_"):
        load_settings(file, {})


@pytest.mark.parametrize("text", ["web:", "web: 80", "web: [80]"])
def test_a_section_without_keys_is_refused(file: Path, text: str) -> None:
    assert refusal(file, text) == f"web: must be a section with keys of its own ({file})"


def test_a_section_set_to_a_value_and_to_keys_is_refused(file: Path) -> None:
    assert refusal(file, WEB="80", WEB__PORT="80").startswith("JOBRESULTS_WEB__PORT: web is a sect")


def test_a_list_that_is_none_is_refused_with_both_notations(file: Path) -> None:
    assert refusal(file, TASKS__MODULES="mine") == (
        'tasks.modules: must be a list: [a, b] in YAML, ["a", "b"] in the environment '
        "(environment: JOBRESULTS_TASKS__MODULES); got 'mine'"
    )


def test_a_list_that_is_not_json_is_refused(file: Path) -> None:
    detail = refusal(file, TASKS__MODULES="[mine]")
    assert detail.startswith("JOBRESULTS_TASKS__MODULES: not valid JSON")
    assert detail.endswith('write a list as ["a", "b"]')


def test_an_element_of_a_list_is_shown_with_its_variable(file: Path) -> None:
    detail = refusal(file, "tasks: {modules: [fine]}", TASKS__MODULES='["fine", 2]')
    assert detail.startswith("tasks.modules.1: ")
    assert detail.endswith("(environment: JOBRESULTS_TASKS__MODULES); got 2")


@pytest.mark.parametrize("text", ["- web", "web", "3"])
def test_a_file_without_sections_is_refused(file: Path, text: str) -> None:
    assert refusal(file, text).startswith(f"{file} must hold sections of keys")


@pytest.mark.parametrize("text", ["web: {port: 1", "web: port: 1", "\tweb: 1", "&a [*a"])
def test_a_file_that_is_not_yaml_is_refused_with_the_place(file: Path, text: str) -> None:
    detail = refusal(file, text)
    assert detail.startswith(f"{file} is not valid YAML: ")
    assert "line 1" in detail


def test_a_file_that_is_not_text_is_refused(file: Path) -> None:
    file.write_bytes(b"web: \xff")
    with pytest.raises(ConfigurationError, match="is not valid YAML"):
        load_settings(file, {})


def test_yaml_makes_no_objects(file: Path) -> None:
    assert "is not valid YAML" in refusal(file, "web: !!python/object/apply:os.getpid []")


def test_a_secret_file_that_is_missing_is_refused(file: Path, tmp_path: Path) -> None:
    detail = refusal(file, DATABASE__URL_FILE=f"{tmp_path}/absent")
    assert detail == (
        f"JOBRESULTS_DATABASE__URL_FILE: cannot read {tmp_path}/absent: No such file or directory"
    )


def test_a_secret_file_that_is_not_text_is_refused(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff")
    detail = refusal(file, DATABASE__URL_FILE=str(tmp_path / "secret"))
    assert detail == f"JOBRESULTS_DATABASE__URL_FILE: {tmp_path}/secret is not UTF-8 text"


def test_a_wrong_value_from_a_secret_file_is_shown_with_the_variable_of_the_file(
    file: Path, tmp_path: Path
) -> None:
    (tmp_path / "port").write_text("eighty")
    detail = refusal(file, WEB__PORT_FILE=str(tmp_path / "port"))
    assert "(environment: JOBRESULTS_WEB__PORT_FILE)" in detail


@pytest.mark.parametrize(
    "text",
    [
        f"database: postgresql://u:{SECRET}@h/d",
        f"database: [{{url: {SECRET}}}]",
        f"database: {{url: [{SECRET}]}}",
        f"database: {{url: {{value: {SECRET}}}}}",
        f"database: {{urll: {SECRET}}}",
        f"database: {{pool_size: {{url: {SECRET}}}}}",
        f"database:\n  url: a: {SECRET}",
        f"database:\n  url: '{SECRET}",
        f"redis: redis://:{SECRET}@h",
        f"alerts: {{slack: {{bot_token: [{SECRET}]}}}}",
        f"alerts: {{email: {{password: {{x: {SECRET}}}}}}}",
    ],
)
def test_a_message_never_shows_a_secret_of_the_file(file: Path, text: str) -> None:
    assert SECRET not in refusal(file, text)


@pytest.mark.parametrize("name", ["DATABASE", "REDIS", "DATABASE__URLL", "REDIS__URL__X"])
@pytest.mark.parametrize("text", [f"redis://{SECRET}@h", f'["{SECRET}"]', f"[{SECRET}"])
def test_a_message_never_shows_a_secret_of_the_environment(
    file: Path, name: str, text: str
) -> None:
    assert SECRET not in refusal(file, **{name: text})


@pytest.mark.parametrize(
    ("text", "variables", "wrong"),
    [
        ("web: {prot: 1}", {}, ["web.prot: unknown key"]),
        (
            "web: {prot: 1, workers: x}",
            {"WEB__KEEPALIVE_SECONDS": "y"},
            ["web.keep", "web.prot", "web.workers"],
        ),
        ("web: 5", {"WEB__HOSTT": "h"}, ["web.hostt"]),
        ("worker: {lease_seconds: 1}", {}, ["worker: lease_seconds must be"]),
        ("accounts: {token_keys: [{id: a}]}", {}, ["accounts.token_keys.0.secret"]),
        (
            "limits: {clients: {acme: {max_queued_jobs: 0}}}",
            {},
            ["limits.clients.acme.max_queued_jobs"],
        ),
        ("web: [", {}, ["settings.yaml is not valid YAML"]),
        (
            "",
            {"REDIS__URL_FILE": "/nowhere", "TASKS__MODULES": "[x"},
            ["URL_FILE: cannot read", "MODULES: not valid JSON"],
        ),
        ("", {"WEB": "1", "WEB__WORKERS": "3"}, ["web is a section", "web: must be a section"]),
    ],
)
def test_what_is_right_can_be_had_without_what_is_wrong(
    file: Path, text: str, variables: dict[str, str], wrong: list[str]
) -> None:
    file.write_text(text)
    chosen = environ(DATABASE__URL="sqlite:///kept.db", **variables)
    settings, problems = salvage_settings(file, chosen)
    assert settings.database.url is not None
    assert len(problems) == len(wrong), problems
    assert all(any(words in problem for problem in problems) for words in wrong), problems
    with pytest.raises(ConfigurationError):
        load_settings(file, chosen)
