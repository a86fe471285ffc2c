"""Writes the rules as Kubernetes takes them; `make rules`.

With a URL as argument every alert's runbook is looked for there from then on.
"""

import re
import sys
from pathlib import Path
from textwrap import indent

_HERE = Path(__file__).parent
RULES = sorted(_HERE.glob("rules/*.yml"))
TESTS = sorted(_HERE.glob("tests/*.yml"))
KUBERNETES = _HERE.parent / "k8s/components/monitoring/prometheusrule.yaml"

_HEAD = """\
# Made by `make rules` from monitoring/rules. For the Prometheus operator.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: jobresults
  labels: {app.kubernetes.io/name: jobresults, app.kubernetes.io/component: monitoring}
spec:
  groups:
"""


def prometheus_rule() -> str:
    """All groups in one object, line by line as they stand in their files."""
    groups = (file.read_text().partition("\ngroups:\n")[2] for file in RULES)
    return _HEAD + "".join(indent(text, "  ") for text in groups)


def look_for_runbooks_at(url: str) -> None:
    """Change the address in the rules, and in what their tests expect."""
    for file in (*RULES, *TESTS):
        text = re.sub(r"(runbook_url: ).*/", rf"\g<1>{url.rstrip('/')}/", file.read_text())
        file.write_text(text)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        look_for_runbooks_at(argument)
    KUBERNETES.write_text(prometheus_rule())
