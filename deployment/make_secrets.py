"""Makes the files in `secrets/` that are not there yet: what `credentials.json` says, else the
sample's values with passwords of their own. Nothing that is there is changed.
"""

from __future__ import annotations

import json
import re
import secrets
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PLACEHOLDER = re.compile(r"change-me[\w-]*")


def templates(directory: Path) -> dict[str, str]:
    """Every secret's text, with placeholders for passwords."""
    texts: dict[str, str] = json.loads((ROOT / "credentials_sample.json").read_text())
    texts["redis_users"] = (ROOT / "docs/redis-users.acl").read_text()
    own = directory / "credentials.json"
    return {**texts, **json.loads(own.read_text())} if own.exists() else texts


def conflict(texts: dict[str, str], missing: set[str]) -> str | None:
    """A file there is, whose password a missing one has to share."""
    wanted = {mark for name in missing for mark in _PLACEHOLDER.findall(texts[name])}
    there = sorted(texts.keys() - missing)
    return next((name for name in there if wanted & set(_PLACEHOLDER.findall(texts[name]))), None)


def main(directory: Path) -> int:
    """Write them. Returns the exit status."""
    target = directory / "secrets"
    target.mkdir(exist_ok=True)
    target.chmod(0o700)  # the files are for the users of the containers, who own none of them
    texts = templates(directory)
    missing = {name for name in texts if not (target / name).exists()}
    if kept := conflict(texts, missing):
        print(
            f"error: secrets/{kept} holds a password that other files lack; say them all in "
            "credentials.json, or remove that file, too",
            file=sys.stderr,
        )
        return 1
    passwords = {
        mark: secrets.token_hex(24) for mark in _PLACEHOLDER.findall("\n".join(texts.values()))
    }
    for name in missing:
        file = target / name
        file.write_text(_PLACEHOLDER.sub(lambda found: passwords[found[0]], texts[name]))
        file.chmod(0o444)
    empty = [name for name in texts if not (target / name).read_text().strip()]
    print(f"Made {len(missing)} files in secrets/; empty, so off: {', '.join(empty)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT))
