"""Who may talk to whom, what is measured, and where all of it lies."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from jobresults.settings import CallbacksSettings
from jobresults.webhooks.targets import is_allowed
from tests.unit.deployment.rules.rule import (
    PROCESSES,
    REMOVED,
    Manifest,
    Overlay,
    broken_by,
    labels_of,
    name_of,
    ports_of,
    selects,
)

CONTAINER = "spec/template/spec/containers/0"
CLUSTER_SCOPED = {"Namespace", "PriorityClass"}
EVERYWHERE = {"0.0.0.0/0", "2000::/3", "64:ff9b::/96"}
EGRESS_PORTS = {53, 443, 465, 587, 5432, 6379, 8443}


def _policies_for(overlay: Overlay, workload: Manifest, direction: str) -> list[Manifest]:
    return [
        policy["spec"]
        for policy in overlay.of("NetworkPolicy")
        if direction in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], labels_of(workload))
    ]


def _port_of(rule: Manifest) -> set[int | str]:
    return {port["port"] for port in rule.get("ports", ())}


@broken_by(
    ("NetworkPolicy/deny-all", "spec/podSelector", {"matchLabels": {"app": "web"}}),
    ("NetworkPolicy/deny-all", "spec/policyTypes", ["Ingress"]),
    ("NetworkPolicy/deny-all", "spec/ingress", [{}]),
)
def traffic_that_no_policy_allows_is_denied(overlay: Overlay) -> Iterator[str]:
    specs = [policy["spec"] for policy in overlay.of("NetworkPolicy")]
    if {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} not in specs:
        yield "nothing is denied"


@broken_by(
    ("NetworkPolicy/all-to-stores", "spec/egress/1", {}),
    ("NetworkPolicy/all-to-stores", "spec/egress/1/ports/0/port", 22),
    ("NetworkPolicy/all-to-stores", "spec/egress/0/ports", []),
)
def only_the_ports_that_are_needed_are_open_to_the_outside(overlay: Overlay) -> Iterator[str]:
    for policy in overlay.of("NetworkPolicy"):
        for rule in policy["spec"].get("egress", ()):
            if not _port_of(rule) or not _port_of(rule) <= EGRESS_PORTS:
                yield f"{name_of(policy)} opens {_port_of(rule) or 'all ports'}"


@broken_by(
    ("NetworkPolicy/callbacks-from-maintenance", "spec/podSelector", {}),
    ("NetworkPolicy/alerts-from-maintenance", "spec/egress/0/to/0/ipBlock/except", ["10.0.0.0/8"]),
    ("NetworkPolicy/callbacks-from-maintenance", "spec/egress/0/to/0/ipBlock/except", []),
)
def only_maintenance_calls_out_and_not_to_private_networks(overlay: Overlay) -> Iterator[str]:
    private = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
    for policy in overlay.of("NetworkPolicy"):
        for rule in policy["spec"].get("egress", ()):
            blocks = [target["ipBlock"] for target in rule.get("to", ()) if "ipBlock" in target]
            public = [block for block in blocks if block["cidr"] in EVERYWHERE]
            only = policy["spec"]["podSelector"].get("matchLabels", {})
            if public and only != {"app.kubernetes.io/component": "maintenance"}:
                yield f"{name_of(policy)} is not for maintenance only"
            kept_out = {network for block in public for network in block.get("except", ())}
            if public and not set(private) <= kept_out:
                yield f"{name_of(policy)} reaches {set(private) - kept_out}"


@broken_by(
    ("NetworkPolicy/callbacks-from-maintenance", "spec/egress/0/ports", [{"port": 443}]),
    (
        "NetworkPolicy/callbacks-from-maintenance",
        "spec/egress/0/to/0/ipBlock/except",
        ["8.0.0.0/8"],
    ),
)
def callbacks_may_go_where_the_sender_lets_them(overlay: Overlay) -> Iterator[str]:
    settings = CallbacksSettings()
    callbacks = overlay.get("NetworkPolicy", "callbacks-from-maintenance") or {"spec": {}}
    opened = {port for rule in callbacks["spec"].get("egress", ()) for port in _port_of(rule)}
    if opened != set(settings.allowed_ports):
        yield f"callbacks may go to ports {settings.allowed_ports}, but reach {opened}"
    for rule in callbacks["spec"].get("egress", ()):
        for target in rule["to"]:
            for network in target["ipBlock"].get("except", ()):
                if is_allowed(ip_network(network)[0], settings):
                    yield f"{network} is kept out, where callbacks may go"


@broken_by(
    ("NetworkPolicy/requests-to-web", "spec/ingress", []),
    ("NetworkPolicy/requests-to-web", "spec/ingress/0/ports/0/port", "https"),
    ("NetworkPolicy/processes-to-redis", "spec/podSelector/matchLabels", {"app": "redis"}),
    ("NetworkPolicy/metrics-to-prometheus", "spec/ingress/0/ports/0/port", "http"),
    ("NetworkPolicy/metrics-to-prometheus", "spec/ingress/0/from", REMOVED),
    ("NetworkPolicy/processes-to-postgres", "spec/ingress/0/from", REMOVED),
)
def whoever_listens_can_be_reached_by_those_it_is_for(overlay: Overlay) -> Iterator[str]:
    watched = bool(overlay.of("PodMonitor"))
    for workload in overlay.of("Deployment", "StatefulSet"):
        rules = [
            rule
            for policy in _policies_for(overlay, workload, "Ingress")
            for rule in policy.get("ingress", ())
        ]
        opened = {port for rule in rules for port in _port_of(rule)}
        expected = set(ports_of(workload)) - (set() if watched else {"metrics"})
        if opened != expected:
            yield f"{name_of(workload)} listens on {expected}, open are {opened}"
        for rule in rules:
            if _port_of(rule) != {"http"} and not rule.get("from"):
                yield f"{name_of(workload)}: {_port_of(rule)} is open to everyone"


@broken_by(
    ("Deployment/worker", f"{CONTAINER}/ports", []),
    ("Deployment/web", f"{CONTAINER}/ports/1/containerPort", 9090),
    ("ConfigMap/settings", "data/JOBRESULTS_METRICS__HOST", "127.0.0.1"),
    ("ConfigMap/settings", "data/JOBRESULTS_METRICS__PORT", REMOVED),
    ("PodMonitor/jobresults", "spec/podMetricsEndpoints/0/port", "http"),
    ("PodMonitor/jobresults", "spec/selector/matchExpressions/0/values", ["web"]),
    ("PodMonitor/jobresults", "spec/podMetricsEndpoints/0/relabelings", []),
)
def every_process_is_measured_under_its_name(overlay: Overlay) -> Iterator[str]:
    variables = overlay.variables
    port = variables.get("JOBRESULTS_METRICS__PORT", "none")
    if variables.get("JOBRESULTS_METRICS__HOST") != "0.0.0.0":
        yield "metrics are served inside the pod only"
    for workload in overlay.deployments:
        if str(ports_of(workload).get("metrics")) != port:
            yield f"{name_of(workload)} serves metrics on {port}"
    for monitor in overlay.of("PodMonitor"):
        spec = monitor["spec"]
        seen = [w for w in overlay.deployments if selects(spec["selector"], labels_of(w))]
        if {name_of(workload) for workload in seen} != set(PROCESSES):
            yield f"measured are {[name_of(workload) for workload in seen]}"
        for endpoint in spec["podMetricsEndpoints"]:
            names = [label["replacement"] for label in endpoint["relabelings"]]
            if endpoint["port"] != "metrics" or names != ["jobresults-$1"]:
                yield f"{endpoint['port']} as {names}"


@broken_by(
    ("Deployment/web", "metadata/namespace", "default"),
    ("Deployment/web", "metadata/labels", {}),
    ("Namespace/jobresults-production", "metadata/labels", {}),
    ("Service/web", "metadata/namespace", REMOVED),
)
def all_lies_in_a_namespace_that_enforces_the_restricted_standard(
    overlay: Overlay,
) -> Iterator[str]:
    (namespace,) = overlay.of("Namespace")
    if namespace["metadata"]["labels"].get("pod-security.kubernetes.io/enforce") != "restricted":
        yield "it enforces nothing"
    for document in overlay.documents:
        own = document["metadata"].get("namespace")
        if document["kind"] not in CLUSTER_SCOPED and own != name_of(namespace):
            yield f"{document['kind']} {name_of(document)} lies in {own}"
        labels = document["metadata"].get("labels", {})
        if document["kind"] != "Namespace" and labels.get("app.kubernetes.io/name") != "jobresults":
            yield f"{document['kind']} {name_of(document)} does not say what it is of"
