"""k8s/: the rules hold for what the overlays make, and none of them lets its breakage pass."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml

from tests.unit.deployment.rules import availability, network, pods, settings_and_secrets
from tests.unit.deployment.rules.rule import (
    PROCESSES,
    RULES,
    Overlay,
    container_of,
    name_of,
    secret_files,
)

MODULES = (availability, network, pods, settings_and_secrets)
OVERLAYS = ("staging", "production")


@pytest.mark.parametrize("name", sorted(RULES))
def test_the_overlays_keep_the_rule(overlays: dict[str, Overlay], name: str) -> None:
    rule = RULES[name]
    for overlay in overlays.values():
        assert list(rule.check(overlay)) == [], overlay.name
    for change in rule.broken_by:
        broken = [overlay.changed(change) for overlay in overlays.values()]
        assert any(broken), f"no overlay has {change.kind} {change.name}"
        assert any(overlay and _complaints(name, overlay) for overlay in broken), change


def _complaints(name: str, overlay: Overlay) -> list[str]:
    """What the rule has against it; a rule that a broken manifest makes stumble refuses it, too."""
    try:
        return list(RULES[name].check(overlay))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return [repr(error)]


def test_every_rule_is_broken_by_something() -> None:
    written = {
        name
        for module in MODULES
        for name, value in vars(module).items()
        if getattr(value, "__module__", "") == module.__name__ and not name.startswith("_")
    }
    assert written == set(RULES)
    assert all(rule.broken_by for rule in RULES.values())


def test_every_file_is_used(root: Path) -> None:
    for directory in (
        "base",
        *(f"components/{p.name}" for p in (root / "k8s/components").iterdir()),
    ):
        folder = root / "k8s" / directory
        kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
        used = set(kustomization["resources"])
        for generator in kustomization.get("configMapGenerator", ()):
            used |= set(generator.get("files", ()))
        assert {file.name for file in folder.iterdir()} - {"kustomization.yaml"} == used, folder


def test_the_processes_are_deployed_with_what_each_overlay_is_for(
    overlays: dict[str, Overlay],
) -> None:
    assert set(overlays) == set(OVERLAYS)
    for overlay in overlays.values():
        assert {name_of(workload) for workload in overlay.deployments} == set(PROCESSES)
        assert [name_of(job) for job in overlay.of("Job")] == ["migrate"]
    assert {name_of(d) for d in overlays["staging"].of("StatefulSet")} == {"redis", "postgres"}
    assert overlays["production"].of("StatefulSet") == []
    assert overlays["production"].of("ScaledObject")
    assert overlays["production"].of("PodMonitor")


def test_the_overlays_name_the_version_of_the_project(
    overlays: dict[str, Overlay], root: Path
) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    for overlay in overlays.values():
        images = {container_of(workload)["image"] for workload in overlay.deployments}
        assert images == {f"jobresults:{version}"}


def test_the_settings_of_the_pods_are_those_of_the_sample(
    overlays: dict[str, Overlay], credentials: dict[str, str]
) -> None:
    keys = {
        key
        for overlay in overlays.values()
        for workload in overlay.workloads
        for key, _ in secret_files(workload).values()
    }
    assert keys == {*credentials, "redis_users"} - {"grafana_password"}
