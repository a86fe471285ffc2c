"""Probes, endings, rollouts, disruptions, numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jobresults.telemetry.metrics_server import LIVE_PATH, READY_PATH
from jobresults.web.app import ROUTES
from jobresults.web.routing import PUBLIC
from tests.unit.deployment.rules.rule import (
    REMOVED,
    Overlay,
    broken_by,
    container_of,
    labels_of,
    name_of,
    pod_of,
    ports_of,
    selects,
)

POD = "spec/template/spec"
CONTAINER = "spec/template/spec/containers/0"
# For what a process does after its own grace: killing, recording, leaving.
MARGIN_SECONDS = 5
ZONE = "topology.kubernetes.io/zone"


LOOPS = ("worker", "maintenance")


@broken_by(
    ("Deployment/web", f"{CONTAINER}/livenessProbe", REMOVED),
    ("Deployment/web", f"{CONTAINER}/livenessProbe/httpGet/path", "/status/ready"),
    ("Deployment/web", f"{CONTAINER}/readinessProbe/httpGet/path", "/v1/jobs"),
    ("Deployment/web", f"{CONTAINER}/startupProbe/httpGet/port", 8001),
)
def a_pod_without_its_stores_gets_no_traffic_but_is_not_restarted(
    overlay: Overlay,
) -> Iterator[str]:
    public = {route.path for route in ROUTES if route.method == "GET" and route.scope is PUBLIC}
    (web,) = (w for w in overlay.deployments if name_of(w) == "web")
    asked = {
        "startupProbe": "/status/live",
        "livenessProbe": "/status/live",
        "readinessProbe": "/status/ready",
    }
    for name, path in asked.items():
        probe = container_of(web).get(name, {})
        if probe.get("httpGet") != {"path": path, "port": "http"} or path not in public:
            yield f"web: {name} {probe.get('httpGet')}"
        elif probe["timeoutSeconds"] > probe["periodSeconds"]:
            yield f"web: {name} asks again before it knows"


@broken_by(
    ("Deployment/worker", f"{CONTAINER}/livenessProbe", REMOVED),
    ("Deployment/worker", f"{CONTAINER}/livenessProbe/httpGet/path", READY_PATH),
    ("Deployment/worker", f"{CONTAINER}/livenessProbe/httpGet/port", "http"),
    ("Deployment/maintenance", f"{CONTAINER}/livenessProbe/httpGet/path", "/metrics"),
    ("Deployment/worker", f"{CONTAINER}/startupProbe", REMOVED),
    ("Deployment/maintenance", f"{CONTAINER}/readinessProbe", REMOVED),
    ("Deployment/worker", f"{CONTAINER}/readinessProbe/httpGet/path", LIVE_PATH),
    ("Deployment/worker", f"{CONTAINER}/livenessProbe/terminationGracePeriodSeconds", REMOVED),
)
def a_loop_that_does_not_turn_is_restarted_and_a_rollout_waits_for_one_that_works(
    overlay: Overlay,
) -> Iterator[str]:
    asked = {
        "startupProbe": LIVE_PATH,
        "livenessProbe": LIVE_PATH,
        "readinessProbe": READY_PATH,
    }
    for workload in overlay.deployments:
        if name_of(workload) not in LOOPS:
            continue
        container = container_of(workload)
        for name, path in asked.items():
            if container.get(name, {}).get("httpGet") != {"path": path, "port": "metrics"}:
                yield f"{name_of(workload)}: {name} {container.get(name)}"
        # Its job went to another worker long ago: there is nothing to wait for.
        if container["livenessProbe"].get("terminationGracePeriodSeconds", 330) > 30:
            yield f"{name_of(workload)}: one that is stuck is kept as long as one that works"


@broken_by(
    ("StatefulSet/redis", f"{CONTAINER}/readinessProbe", REMOVED),
    ("StatefulSet/postgres", f"{CONTAINER}/startupProbe", REMOVED),
)
def a_store_is_asked_for_its_health(overlay: Overlay) -> Iterator[str]:
    for store in overlay.of("StatefulSet"):
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            if "exec" not in container_of(store).get(name, {}):
                yield f"{name_of(store)} has no {name}"


@broken_by(
    ("Deployment/web", f"{POD}/terminationGracePeriodSeconds", 30),
    ("Deployment/web", f"{CONTAINER}/lifecycle", {"preStop": {"sleep": {"seconds": 40}}}),
    ("Deployment/web", f"{CONTAINER}/lifecycle", {"preStop": {"sleep": {"seconds": 2}}}),
    ("Deployment/worker", f"{POD}/terminationGracePeriodSeconds", 30),
    ("ConfigMap/settings", "data/JOBRESULTS_WORKER__SHUTDOWN_GRACE_SECONDS", "600"),
    ("Deployment/worker", f"{CONTAINER}/lifecycle", {"preStop": {"sleep": {"seconds": 5}}}),
)
def a_pod_that_goes_finishes_what_it_has(overlay: Overlay) -> Iterator[str]:
    settings = overlay.settings
    probe_seconds = 5
    for workload in overlay.deployments:
        pod, container = pod_of(workload), container_of(workload)
        granted = pod["terminationGracePeriodSeconds"]
        if name_of(workload) == "web":
            pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
            needed = pause + settings.web.graceful_timeout_seconds
            needed += settings.web.keepalive_seconds + MARGIN_SECONDS
            if pause < probe_seconds:
                yield "web closes before load balancers have heard of it"
        else:
            grace = settings.worker.shutdown_grace_seconds if name_of(workload) == "worker" else 10
            needed = grace + MARGIN_SECONDS
            if "lifecycle" in container:
                yield f"{name_of(workload)}: a second SIGTERM stops the job"
        if granted < needed:
            yield f"{name_of(workload)} needs {needed} s and has {granted}"


@broken_by(
    ("Deployment/web", "spec/strategy/rollingUpdate/maxUnavailable", 1),
    ("Deployment/worker", "spec/strategy", {"type": "Recreate"}),
    ("PodDisruptionBudget/worker", "spec/maxUnavailable", 0),
    ("PodDisruptionBudget/web", "spec/selector/matchLabels", {"app": "web"}),
    ("PodDisruptionBudget/maintenance", "spec/unhealthyPodEvictionPolicy", REMOVED),
    ("PodDisruptionBudget/redis", "metadata/name", "other"),
)
def a_rollout_and_an_eviction_take_one_pod_at_a_time(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.of("Deployment", "StatefulSet"):
        rolling = workload["spec"].get("strategy", {}).get("rollingUpdate")
        if workload["kind"] == "Deployment" and rolling != {"maxSurge": 1, "maxUnavailable": 0}:
            yield f"{name_of(workload)} rolls by {rolling}"
        budget = overlay.get("PodDisruptionBudget", name_of(workload)) or {"spec": {}}
        if budget["spec"] != {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": workload["spec"]["selector"],
        }:
            yield f"{name_of(workload)}: {budget['spec']}"


@broken_by(
    ("Deployment/web", f"{POD}/affinity", REMOVED),
    ("Deployment/worker", f"{POD}/topologySpreadConstraints/0/topologyKey", "rack"),
    ("Deployment/web", f"{POD}/topologySpreadConstraints/0/labelSelector/matchLabels", {"a": "b"}),
    ("Deployment/web", f"{POD}/topologySpreadConstraints/0/matchLabelKeys", REMOVED),
)
def pods_of_a_kind_are_spread_over_nodes_and_zones(overlay: Overlay) -> Iterator[str]:
    for workload in overlay.deployments:
        pod, labels = pod_of(workload), labels_of(workload)
        affinity = pod.get("affinity", {}).get("podAntiAffinity", {})
        terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", ())
        by_node = [term["podAffinityTerm"]["labelSelector"] for term in terms]
        spread = pod.get("topologySpreadConstraints", ())
        by_zone = [
            constraint["labelSelector"]
            for constraint in spread
            if constraint["topologyKey"] == ZONE
            and constraint.get("matchLabelKeys") == ["pod-template-hash"]
        ]
        for selectors in (by_node, by_zone):
            if not selectors or not all(selects(selector, labels) for selector in selectors):
                yield f"{name_of(workload)} is not spread: {selectors}"


@broken_by(
    ("Deployment/web", "spec/replicas", 3),
    ("HorizontalPodAutoscaler/web", "spec/scaleTargetRef/name", "www"),
    ("HorizontalPodAutoscaler/web", "spec/minReplicas", 1),
    ("HorizontalPodAutoscaler/web", "spec/maxReplicas", 1),
    ("Deployment/web", f"{CONTAINER}/resources/requests/cpu", REMOVED),
    ("HorizontalPodAutoscaler/web", "spec/scaleTargetRef/name", "worker"),
    ("Deployment/worker", "spec/replicas", REMOVED),
    ("ScaledObject/worker", "spec/minReplicaCount", 0),
)
def one_and_only_one_says_how_many_pods_there_are(overlay: Overlay) -> Iterator[str]:
    scalers: dict[str, tuple[int, int]] = {}
    for scaler in overlay.of("HorizontalPodAutoscaler", "ScaledObject"):
        spec, target = scaler["spec"], scaler["spec"]["scaleTargetRef"]["name"]
        bounds = (
            spec.get("minReplicas") or spec.get("minReplicaCount") or 0,
            spec.get("maxReplicas") or spec.get("maxReplicaCount") or 0,
        )
        if overlay.get("Deployment", target) is None or target in scalers:
            yield f"{name_of(scaler)} scales {target}"
        elif not 2 <= bounds[0] <= bounds[1]:
            yield f"{name_of(scaler)}: {bounds}"
        scalers[target] = bounds
    for workload in overlay.deployments:
        if ("replicas" in workload["spec"]) == (name_of(workload) in scalers):
            yield f"{name_of(workload)}: replicas and a scaler, or neither"
    web = overlay.get("Deployment", "web")
    if web and "cpu" not in container_of(web)["resources"]["requests"]:
        yield "web: nothing that its use of CPU is a part of"


@broken_by(
    ("ScaledObject/worker", "spec/fallback", REMOVED),
    ("ScaledObject/worker", "spec/triggers/0/metadata/ignoreNullValues", "true"),
    ("ScaledObject/worker", "spec/triggers/0/metadata/query", "sum(jobresults_queue_jobs)"),
    ("ScaledObject/worker", "metadata/namespace", "elsewhere"),
    (
        "ScaledObject/worker",
        "spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown",
        {"stabilizationWindowSeconds": 60},
    ),
    ("ConfigMap/settings", "data/JOBRESULTS_WORKER__QUEUES", '["fast"]'),
)
def workers_follow_what_the_ledger_says_of_their_queues(overlay: Overlay) -> Iterator[str]:
    for scaler in overlay.of("ScaledObject"):
        spec = scaler["spec"]
        (trigger,) = spec["triggers"]
        query = trigger["metadata"]["query"]
        selectors = re.findall(r"jobresults_\w+\{([^}]*)\}", query)
        for queue in overlay.settings.worker.queues:
            wanted = f'namespace="{scaler["metadata"]["namespace"]}",queue="{queue}"'
            if len(selectors) != 2 or not all(text.startswith(wanted) for text in selectors):
                yield f"the query is not for {wanted}: {query}"
        if trigger["metadata"].get("ignoreNullValues") != "false" or "fallback" not in spec:
            yield "without Prometheus workers are taken away"
        behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        window_seconds = behavior["scaleDown"]["stabilizationWindowSeconds"]
        if window_seconds < overlay.settings.worker.shutdown_grace_seconds:
            yield "workers go before those that went have ended"


@broken_by(
    ("Service/web", "spec/selector", {"app": "web"}),
    ("Service/web", "spec/ports/0/targetPort", "https"),
    ("Service/redis", "spec/selector", {"app": "redis"}),
    ("Deployment/web", f"{CONTAINER}/ports/0/containerPort", 8080),
)
def a_service_leads_to_a_port_that_is_served(overlay: Overlay) -> Iterator[str]:
    for service in overlay.of("Service"):
        wanted = service["spec"]["selector"].items()
        targets = [w for w in overlay.workloads if wanted <= labels_of(w).items()]
        if [name_of(target) for target in targets] != [name_of(service)]:
            yield f"{name_of(service)} leads to {[name_of(target) for target in targets]}"
            continue
        for port in service["spec"]["ports"]:
            if port["targetPort"] not in ports_of(targets[0]):
                yield f"{name_of(service)}: {port['targetPort']} is not served"
    web = overlay.get("Deployment", "web")
    if web and ports_of(web).get("http") != overlay.settings.web.port:
        yield "web listens elsewhere"


@broken_by(
    ("Ingress/web", "spec/tls", []),
    ("Ingress/web", "spec/rules/0/host", "other.example.com"),
    ("Ingress/web", "spec/rules/0/http/paths/0/backend/service/name", "www"),
    ("Ingress/web", "metadata/annotations", {"nginx.org/proxy-read-timeout": "30s"}),
    ("ConfigMap/settings", "data/JOBRESULTS_WEB__MAX_BODY_BYTES", "9000000"),
)
def the_ingress_speaks_tls_and_lets_requests_wait(overlay: Overlay) -> Iterator[str]:
    web = overlay.settings.web
    for ingress in overlay.of("Ingress"):
        hosts = {rule["host"] for rule in ingress["spec"]["rules"]}
        if hosts != {host for entry in ingress["spec"]["tls"] for host in entry["hosts"]}:
            yield f"without TLS: {hosts}"
        paths = [path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]]
        led_to = {path["backend"]["service"]["name"] for path in paths}
        if any(overlay.get("Service", name) is None for name in led_to):
            yield f"it leads to {led_to}"
        notes = ingress["metadata"]["annotations"]
        for prefix, unit in (("nginx.org", "s"), ("nginx.ingress.kubernetes.io", "")):
            timeout = notes.get(f"{prefix}/proxy-read-timeout", "0").removesuffix(unit)
            if float(timeout or 0) < web.wait_cap_seconds + MARGIN_SECONDS:
                yield f"{prefix}: a request that waits is cut off after {timeout} s"
        if web.max_body_bytes != 1024 * 1024:
            yield "bodies of the ingress and of the service have different limits"
