"""Holds manifests against the API of a Kubernetes version: no kind it does not have, no member that
it does not know, none of a wrong type. Custom resources go to `custom_resources.mjs`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

VERSION = "1.37"
CUSTOM = ("keda.sh/", "monitoring.coreos.com/")


def main(files: list[str]) -> int:
    """Print what is wrong. Returns the exit status."""
    problems, custom = [], []
    for file in files:
        for document in yaml.safe_load_all(Path(file).read_text()):
            if document["apiVersion"].startswith(CUSTOM):
                custom.append(document)
                continue
            try:
                kubernetes_validate.validate(document, VERSION, strict=True)
            except (
                kubernetes_validate.ValidationError,
                kubernetes_validate.SchemaNotFoundError,
            ) as error:
                name = f"{document['kind']} {document['metadata']['name']}"
                where = "/".join(map(str, getattr(error, "path", ())))
                problems.append(f"{file}: {name}: {where} {error.message}")
    problems += custom_problems(custom)
    print("\n".join(problems) or f"{', '.join(files)}: valid for Kubernetes {VERSION}")
    return 1 if problems else 0


def custom_problems(documents: list[Any]) -> list[str]:
    script = Path(__file__).with_name("custom_resources.mjs")
    done = subprocess.run(
        ["node", script], input=json.dumps(documents), capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
