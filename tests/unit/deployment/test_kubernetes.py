"""k8s/: what the manifests promise about pods, read without a renderer."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from jobresults.cli.main import COMMANDS
from jobresults.settings import CallbacksSettings, Settings
from jobresults.web.app import ROUTES
from jobresults.web.routing import PUBLIC
from jobresults.webhooks.targets import is_allowed

DEPLOYMENTS = ("web", "worker", "maintenance")
WORKLOADS = (*DEPLOYMENTS, "migrate")
OVERLAYS = ("staging", "production")
# For what a worker does after its own grace: killing, recording, leaving.
MARGIN_SECONDS = 5.0

Manifest = dict[str, Any]


@pytest.fixture(scope="module")
def manifests(root: Path) -> dict[tuple[str, str], Manifest]:
    """Everything in the base by kind and name, files that are not listed left out."""
    return {
        (document["kind"], document["metadata"]["name"]): document
        for name in _kustomization(root, "base")["resources"]
        for document in yaml.safe_load_all((root / "k8s/base" / name).read_text())
    }


@pytest.fixture(scope="module")
def workloads(manifests: dict[tuple[str, str], Manifest]) -> dict[str, Manifest]:
    return {name: m for (kind, name), m in manifests.items() if kind in ("Deployment", "Job")}


def _kustomization(root: Path, directory: str) -> Manifest:
    file = root / "k8s" / directory / "kustomization.yaml"
    document: Manifest = yaml.safe_load(file.read_text())
    return document


def _literals(kustomization: Manifest) -> dict[str, str]:
    generators = kustomization.get("configMapGenerator", [])
    return dict(line.split("=", 1) for generator in generators for line in generator["literals"])


def _pod(workload: Manifest) -> Manifest:
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def _container(workload: Manifest) -> Manifest:
    (container,) = _pod(workload)["containers"]
    assert isinstance(container, dict)
    return container


def _probes(container: Manifest) -> Iterator[Manifest]:
    return (container[name] for name in container if name.endswith("Probe"))


def test_every_file_of_the_base_is_used(root: Path) -> None:
    files = {file.name for file in (root / "k8s/base").iterdir()} - {"kustomization.yaml"}
    assert files == set(_kustomization(root, "base")["resources"])


def test_the_deployments_are_the_processes(manifests: dict[tuple[str, str], Manifest]) -> None:
    assert {name for kind, name in manifests if kind == "Deployment"} == set(DEPLOYMENTS)
    assert {name for kind, name in manifests if kind == "Job"} == {"migrate"}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_runs_the_command_of_its_name(workloads: dict[str, Manifest], name: str) -> None:
    container = _container(workloads[name])
    assert "command" not in container  # the image's entry point stays
    assert container["args"] == [name]
    assert name in COMMANDS


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_is_selected_by_its_own_label(workloads: dict[str, Manifest], name: str) -> None:
    label = {"app.kubernetes.io/component": name}
    assert workloads[name]["spec"]["template"]["metadata"]["labels"] == label
    if name in DEPLOYMENTS:
        assert workloads[name]["spec"]["selector"] == {"matchLabels": label}


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_meets_the_restricted_standard(workloads: dict[str, Manifest], name: str) -> None:
    pod, container = _pod(workloads[name]), _container(workloads[name])
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 10001,
        "runAsGroup": 10001,
        "fsGroup": 10001,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
    assert all({"emptyDir", "secret"} & set(volume) for volume in pod["volumes"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_cannot_talk_to_the_cluster(
    workloads: dict[str, Manifest], manifests: dict[tuple[str, str], Manifest], name: str
) -> None:
    pod = _pod(workloads[name])
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    account = manifests["ServiceAccount", pod["serviceAccountName"]]
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_asks_for_what_it_needs_and_its_memory_is_limited(
    workloads: dict[str, Manifest], name: str
) -> None:
    resources = _container(workloads[name])["resources"]
    assert {"cpu", "memory", "ephemeral-storage"} == set(resources["requests"])
    assert {"memory", "ephemeral-storage"} == set(resources["limits"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_whatever_a_scanner_is_told_to_skip_has_its_reason(
    workloads: dict[str, Manifest], name: str
) -> None:
    notes = workloads[name]["metadata"]["annotations"]
    skips = [text for key, text in notes.items() if key.startswith("checkov.io/skip")]
    assert skips
    assert all(len(text.partition("=")[2]) > 20 for text in skips)


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_pod_takes_its_settings_from_the_generated_map(
    workloads: dict[str, Manifest], root: Path, name: str
) -> None:
    (generator,) = _kustomization(root, "base")["configMapGenerator"]
    container = _container(workloads[name])
    assert container["envFrom"] == [{"configMapRef": {"name": generator["name"]}}]
    assert "env" not in container


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_settings_are_valid_and_those_of_production(
    root: Path, settings_from: Callable[[Mapping[str, str]], Settings], overlay: str
) -> None:
    literals = _literals(_kustomization(root, "base"))
    literals |= _literals(_kustomization(root, f"overlays/{overlay}"))
    settings = settings_from(literals)
    assert settings.environment == "production"
    assert settings.database.url is not None
    assert settings.redis.url is not None
    assert settings.accounts.token_keys
    assert settings.alerts.slack.webhook_url is not None
    assert settings.alerts.email.password is not None
    assert settings.sentry.dsn is not None
    assert settings.web.trusted_proxies == 1
    assert all(network.is_private for network in settings.web.proxy_networks)


@pytest.mark.parametrize("name", WORKLOADS)
def test_secrets_are_files_in_the_mounted_volume(
    workloads: dict[str, Manifest], root: Path, name: str
) -> None:
    literals = _literals(_kustomization(root, "base"))
    directories = {
        str(PurePosixPath(path).parent) for key, path in literals.items() if key.endswith("_FILE")
    }
    mounts = {m["name"]: m for m in _container(workloads[name])["volumeMounts"]}
    assert directories == {mounts["credentials"]["mountPath"]}
    assert mounts["credentials"]["readOnly"] is True
    volumes = {volume["name"]: volume for volume in _pod(workloads[name])["volumes"]}
    assert volumes["credentials"]["secret"]["defaultMode"] == 0o440
    assert mounts.keys() == volumes.keys()


def test_the_readme_makes_the_secret_the_pods_mount(
    workloads: dict[str, Manifest], root: Path
) -> None:
    (volume,) = (v for v in _pod(workloads["web"])["volumes"] if "secret" in v)
    readme = (root / "k8s/README.md").read_text()
    assert f"create secret generic {volume['secret']['secretName']} " in readme
    for key, path in _literals(_kustomization(root, "base")).items():
        if key.endswith("_FILE"):
            assert f"--from-file=secrets/{PurePosixPath(path).name}" in readme


def test_probes_ask_public_routes_on_the_port_that_is_served(
    workloads: dict[str, Manifest],
) -> None:
    public = {route.path for route in ROUTES if route.method == "GET" and route.scope is PUBLIC}
    container = _container(workloads["web"])
    assert container["ports"] == [{"name": "http", "containerPort": Settings().web.port}]
    probes = list(_probes(container))
    assert len(probes) == 3
    assert all(probe["httpGet"]["port"] == "http" for probe in probes)
    assert {probe["httpGet"]["path"] for probe in probes} <= public


def test_a_pod_without_its_stores_gets_no_traffic_but_is_not_restarted(
    workloads: dict[str, Manifest],
) -> None:
    container = _container(workloads["web"])
    assert container["livenessProbe"]["httpGet"]["path"] == "/status/live"
    assert container["startupProbe"]["httpGet"]["path"] == "/status/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/status/ready"


def test_who_serves_no_http_has_no_probe(workloads: dict[str, Manifest]) -> None:
    for name in ("worker", "maintenance", "migrate"):
        assert not list(_probes(_container(workloads[name])))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pods_get_longer_to_stop_than_their_processes_take(
    workloads: dict[str, Manifest],
    root: Path,
    settings_from: Callable[[Mapping[str, str]], Settings],
    overlay: str,
) -> None:
    literals = _literals(_kustomization(root, "base"))
    settings = settings_from(literals | _literals(_kustomization(root, f"overlays/{overlay}")))
    web, worker = _pod(workloads["web"]), _pod(workloads["worker"])
    pause_seconds = _container(workloads["web"])["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed_seconds = pause_seconds + settings.web.graceful_timeout_seconds + MARGIN_SECONDS
    assert web["terminationGracePeriodSeconds"] >= needed_seconds
    needed_seconds = settings.worker.shutdown_grace_seconds + MARGIN_SECONDS
    assert worker["terminationGracePeriodSeconds"] >= needed_seconds


def test_a_worker_gets_one_sigterm_only(workloads: dict[str, Manifest]) -> None:
    assert "lifecycle" not in _container(workloads["worker"])


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_rollout_and_an_eviction_take_one_pod_at_a_time(
    workloads: dict[str, Manifest], manifests: dict[tuple[str, str], Manifest], name: str
) -> None:
    rolling = workloads[name]["spec"]["strategy"]["rollingUpdate"]
    assert rolling == {"maxSurge": 1, "maxUnavailable": 0}
    budget = manifests["PodDisruptionBudget", name]["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["selector"] == workloads[name]["spec"]["selector"]


def test_only_the_autoscaler_says_how_many_web_pods_there_are(
    workloads: dict[str, Manifest], manifests: dict[tuple[str, str], Manifest], root: Path
) -> None:
    assert "replicas" not in workloads["web"]["spec"]
    assert manifests["HorizontalPodAutoscaler", "web"]["spec"]["scaleTargetRef"]["name"] == "web"
    for overlay in OVERLAYS:
        counts = _kustomization(root, f"overlays/{overlay}")["replicas"]
        assert {count["name"] for count in counts} <= {"worker", "maintenance"}


def test_the_service_leads_to_the_web_pods(
    workloads: dict[str, Manifest], manifests: dict[tuple[str, str], Manifest]
) -> None:
    spec = manifests["Service", "web"]["spec"]
    assert spec["selector"] == workloads["web"]["spec"]["selector"]["matchLabels"]
    assert [port["targetPort"] for port in spec["ports"]] == ["http"]


def test_traffic_that_no_policy_allows_is_denied(
    manifests: dict[tuple[str, str], Manifest],
) -> None:
    policies = [m["spec"] for (kind, _), m in manifests.items() if kind == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies
    open_ports = {
        port["port"]
        for policy in policies
        for rule in policy.get("egress", ())
        for port in rule["ports"]
    }
    assert open_ports == {53, 443, 465, 587, 5432, 6379, 8443}


@pytest.mark.parametrize(
    ("name", "ports"),
    [
        ("callbacks-from-maintenance", CallbacksSettings().allowed_ports),
        ("alerts-from-maintenance", (443, 465, 587)),
    ],
)
def test_only_maintenance_calls_out_and_not_to_private_networks(
    manifests: dict[tuple[str, str], Manifest], name: str, ports: tuple[int, ...]
) -> None:
    spec = manifests["NetworkPolicy", name]["spec"]
    assert spec["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "maintenance"}
    (rule,) = spec["egress"]
    assert {port["port"] for port in rule["ports"]} == set(ports)
    blocks = [target["ipBlock"] for target in rule["to"]]
    settings = CallbacksSettings()
    for block in blocks:
        for network in block.get("except", ()):
            assert not is_allowed(ip_network(network)[0], settings)
    assert {block["cidr"] for block in blocks} == {"0.0.0.0/0", "2000::/3", "64:ff9b::/96"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_enforces_the_restricted_standard_in_its_namespace(
    root: Path, overlay: str
) -> None:
    kustomization = _kustomization(root, f"overlays/{overlay}")
    namespace = yaml.safe_load((root / f"k8s/overlays/{overlay}/namespace.yaml").read_text())
    assert "namespace.yaml" in kustomization["resources"]
    assert namespace["metadata"]["name"] == kustomization["namespace"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_deploys_the_version_of_the_project(
    workloads: dict[str, Manifest], root: Path, overlay: str
) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    (image,) = _kustomization(root, f"overlays/{overlay}")["images"]
    assert image["newTag"] == version
    assert {_container(workload)["image"] for workload in workloads.values()} == {image["name"]}
