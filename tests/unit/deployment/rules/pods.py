"""How pods are confined, and what they ask of their nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jobresults.cli.main import COMMANDS
from tests.unit.deployment.rules.rule import (
    PROCESSES,
    REMOVED,
    Overlay,
    broken_by,
    container_of,
    labels_of,
    name_of,
    pod_of,
)

POD = "spec/template/spec"
CONTAINER = "spec/template/spec/containers/0"
UNITS = {"Mi": 1, "Gi": 1024}


@broken_by(
    ("Deployment/web", f"{POD}/securityContext/runAsNonRoot", False),
    ("Deployment/worker", f"{POD}/securityContext/runAsUser", 0),
    ("Job/migrate", f"{POD}/securityContext/seccompProfile", {"type": "Unconfined"}),
    ("StatefulSet/redis", f"{POD}/securityContext", REMOVED),
    ("Deployment/web", f"{POD}/hostNetwork", True),
    ("Deployment/worker", f"{POD}/hostPID", True),
)
def a_pod_meets_the_restricted_standard(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.workloads:
        pod = pod_of(workload)
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{name_of(workload)} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name_of(workload)} has no seccomp profile"
        if {"hostNetwork", "hostPID", "hostIPC"} & pod.keys():
            yield f"{name_of(workload)} shares its node's namespaces"


@broken_by(
    ("Deployment/web", f"{CONTAINER}/securityContext/allowPrivilegeEscalation", True),
    ("Deployment/worker", f"{CONTAINER}/securityContext/readOnlyRootFilesystem", REMOVED),
    ("StatefulSet/postgres", f"{CONTAINER}/securityContext/capabilities", {"add": ["SYS_ADMIN"]}),
    ("Job/migrate", f"{CONTAINER}/securityContext/privileged", True),
)
def a_container_has_no_privileges_and_a_read_only_root(overlay: Overlay) -> Iterator[str]:
    expected = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for workload in overlay.workloads:
        if container_of(workload).get("securityContext") != expected:
            yield f"{name_of(workload)}: {container_of(workload).get('securityContext')}"


@broken_by(
    ("Deployment/web", f"{POD}/automountServiceAccountToken", True),
    ("Job/migrate", f"{POD}/serviceAccountName", "default"),
    ("Deployment/worker", f"{POD}/enableServiceLinks", REMOVED),
    ("ServiceAccount/jobresults", "automountServiceAccountToken", REMOVED),
)
def a_pod_cannot_talk_to_the_cluster(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.workloads:
        pod = pod_of(workload)
        account = overlay.get("ServiceAccount", pod.get("serviceAccountName", "default"))
        if account is None or account.get("automountServiceAccountToken") is not False:
            yield f"{name_of(workload)} has an account with a token"
        for name in ("automountServiceAccountToken", "enableServiceLinks"):
            if pod.get(name) is not False:
                yield f"{name_of(workload)}: {name}"


@broken_by(
    ("Deployment/web", f"{CONTAINER}/resources/requests/memory", REMOVED),
    ("Deployment/worker", f"{CONTAINER}/resources/limits", {"memory": "1Gi"}),
    ("Deployment/maintenance", f"{CONTAINER}/resources/limits/memory", "64Mi"),
    ("StatefulSet/redis", f"{CONTAINER}/resources/limits/cpu", "1"),
    ("StatefulSet/redis", f"{CONTAINER}/resources", {}),
)
def a_pod_says_what_it_needs_and_its_memory_is_limited(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.workloads:
        resources = container_of(workload).get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        if requests.keys() != {"cpu", "memory", "ephemeral-storage"}:
            yield f"{name_of(workload)} requests {requests}"
        elif limits.keys() != {"memory", "ephemeral-storage"}:  # CPU limits throttle
            yield f"{name_of(workload)} is limited to {limits}"
        elif any(_mebibytes(requests[name]) > _mebibytes(limit) for name, limit in limits.items()):
            yield f"{name_of(workload)} requests more than its limit"


def _mebibytes(text: str) -> int:
    return int(text[:-2]) * UNITS[text[-2:]]


@broken_by(
    ("Deployment/web", f"{CONTAINER}/image", "jobresults:latest"),
    ("StatefulSet/redis", f"{CONTAINER}/image", "redis"),
    ("StatefulSet/postgres", f"{CONTAINER}/image", "postgres:15-alpine"),
    ("Deployment/worker", f"{CONTAINER}/image", "jobresults:0.0.9"),
    ("Deployment/worker", f"{CONTAINER}/imagePullPolicy", "IfNotPresent"),
)
def all_processes_run_one_image_and_every_image_is_exact(overlay: Overlay) -> Iterator[str]:
    images = {name_of(workload): container_of(workload)["image"] for workload in overlay.workloads}
    if len({images[name] for name in (*PROCESSES, "migrate")}) > 1:
        yield f"more than one version: {images}"
    for name, image in images.items():
        if not re.search(r":v?\d+\.\d+\.\d+|:\d+\.\d+-|@sha256:[0-9a-f]{64}$", image):
            yield f"{name}: {image} is not exact"
    for workload in overlay.workloads:
        if container_of(workload).get("imagePullPolicy") != "Always":
            yield f"{name_of(workload)} may run an image without leave to pull it"


@broken_by(
    ("Deployment/web", f"{CONTAINER}/args", ["serve"]),
    ("Deployment/worker", f"{CONTAINER}/args", ["web"]),
    ("Job/migrate", f"{CONTAINER}/command", ["sh"]),
)
def a_process_is_the_command_of_its_name(overlay: Overlay) -> Iterator[str]:
    for name in (*PROCESSES, "migrate"):
        workload = overlay.get("Job" if name == "migrate" else "Deployment", name)
        container = container_of(workload) if workload else {}
        if "command" in container or container.get("args") != [name] or name not in COMMANDS:
            yield f"{name} runs {container.get('command')} {container.get('args')}"


@broken_by(
    ("Deployment/web", f"{POD}/volumes/0", {"name": "tmp", "hostPath": {"path": "/tmp"}}),
    ("Deployment/web", f"{POD}/volumes/0", {"name": "tmp", "emptyDir": {}}),
    ("Deployment/worker", f"{POD}/volumes/1/projected/defaultMode", 0o644),
    ("Deployment/worker", f"{CONTAINER}/volumeMounts/1/readOnly", REMOVED),
    ("Deployment/worker", f"{CONTAINER}/volumeMounts/0", REMOVED),
)
def volumes_are_small_mounted_and_secrets_readable_by_their_group_only(
    overlay: Overlay,
) -> Iterator[str]:
    for workload in overlay.workloads:
        mounts = {mount["name"]: mount for mount in container_of(workload)["volumeMounts"]}
        claims = {name_of(claim) for claim in workload["spec"].get("volumeClaimTemplates", ())}
        volumes = pod_of(workload)["volumes"]
        if mounts.keys() != {volume["name"] for volume in volumes} | claims:
            yield f"{name_of(workload)} mounts {sorted(mounts)}"
        for volume in volumes:
            name = f"{name_of(workload)}: {volume['name']}"
            secret = volume.get("secret") or volume.get("projected")
            if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
                yield f"{name} has no limit"
            if not {"emptyDir", "secret", "projected", "configMap"} & volume.keys():
                yield f"{name} is of a kind that is not allowed"
            if secret and secret.get("defaultMode") != 0o440:
                yield f"{name} is readable by others"
            if secret and not mounts.get(volume["name"], {}).get("readOnly"):
                yield f"{name} is writable"


@broken_by(
    ("Deployment/web", "spec/selector/matchLabels", {"app.kubernetes.io/name": "jobresults"}),
    ("Deployment/worker", "spec/template/metadata/labels", {"app": "worker"}),
    ("StatefulSet/redis", "spec/selector/matchLabels", {}),
)
def a_workload_selects_its_own_pods_and_no_others(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.of("Deployment", "StatefulSet"):
        wanted = workload["spec"]["selector"]["matchLabels"].items()
        chosen = [name_of(w) for w in overlay.workloads if wanted <= labels_of(w).items()]
        if chosen != [name_of(workload)]:
            yield f"{name_of(workload)} selects {chosen}"


@broken_by(
    ("Deployment/web", f"{POD}/priorityClassName", REMOVED),
    ("Deployment/worker", f"{POD}/priorityClassName", "jobresults-serving"),
    ("PriorityClass/jobresults-working", "value", 200_000),
)
def work_makes_room_for_who_answers_and_repairs(overlay: Overlay) -> Iterator[str]:
    values = {name_of(document): document["value"] for document in overlay.of("PriorityClass")}
    ranks = {
        name_of(w): values.get(pod_of(w).get("priorityClassName", ""), 0)
        for w in overlay.of("Deployment", "StatefulSet")
    }
    low = ranks.pop("worker")
    if low == 0 or any(rank <= low for rank in ranks.values()):
        yield f"worker {low}, {ranks}"


@broken_by(
    ("Job/migrate", f"{POD}/restartPolicy", "Always"),
    ("Job/migrate", "spec/activeDeadlineSeconds", REMOVED),
    ("Job/migrate", "spec/ttlSecondsAfterFinished", REMOVED),
)
def the_migration_ends_by_itself(overlay: Overlay) -> Iterator[str]:
    for job in overlay.of("Job"):
        lacking = {"backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"} - set(
            job["spec"]
        )
        if lacking or pod_of(job)["restartPolicy"] != "Never":
            yield f"{name_of(job)} lacks {sorted(lacking)}"


@broken_by(("Deployment/web", "metadata/annotations", {"checkov.io/skip1": "CKV_K8S_11=why not"}))
def whatever_a_scanner_is_told_to_skip_has_its_reason(overlay: Overlay) -> Iterator[str]:
    for document in overlay.documents:
        for key, text in document["metadata"].get("annotations", {}).items():
            if key.startswith("checkov.io/skip") and len(text.partition("=")[2]) <= 20:
                yield f"{name_of(document)}: {text}"
