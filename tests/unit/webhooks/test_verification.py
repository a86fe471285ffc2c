"""Genuine webhooks and others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import Any

from jobresults.settings import WebhookSource
from jobresults.webhooks import signatures
from jobresults.webhooks.verification import Delivery, verifier

BODY = b'{"ref":"refs/heads/main"}'
OLD, NEW = "old-secret-of-16-bytes", "new-secret-of-16-bytes"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def verify(
    kind: str, headers: dict[str, str], body: bytes = BODY, **settings: Any
) -> Delivery | None:
    secrets = [WHSEC] if kind == "standard" else [OLD, NEW]
    source = WebhookSource.model_validate(
        {"name": "x", "kind": kind, "secrets": secrets, "task": "t", "client": "c", **settings}
    )
    return verifier(source)(lambda name: headers.get(name, ""), body)


def digest(secret: str, body: bytes = BODY, algorithm: str = "sha256") -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


def test_the_example_of_githubs_documentation_is_genuine() -> None:
    headers = {
        "X-Hub-Signature-256": "sha256="
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "X-GitHub-Event": "push",
    }
    secrets = ["It's a Secret to Everybody"]
    found = verify("github", headers, b"Hello, World!", secrets=secrets)
    assert found == Delivery(hashlib.sha256(b"Hello, World!").hexdigest(), "push")
    assert verify("github", headers, b"Hello, World", secrets=secrets) is None


def test_both_secrets_are_good_and_no_other() -> None:
    for secret, genuine in ((OLD, True), (NEW, True), ("another", False), ("", False)):
        found = verify("github", {"X-Hub-Signature-256": f"sha256={digest(secret)}"})
        assert (found is not None) is genuine


def test_what_is_missing_malformed_or_not_ascii_is_not_genuine() -> None:
    """Red if texts are compared: `compare_digest` raises TypeError for those that are not ASCII."""
    signature = digest(NEW)
    for text in ("", "sha256=", signature, f"sha256={signature.upper()}", "sha256=\xe9\xff", "é€"):
        assert verify("github", {"X-Hub-Signature-256": text}) is None
        assert verify("standard", {"webhook-id": text, "webhook-timestamp": text}) is None
        assert verify("hmac", {"X-Sign": text}, header="X-Sign", prefix="v=") is None


def test_sha1_counts_only_if_it_is_configured_and_nothing_better_came() -> None:
    weak = {"X-Hub-Signature": f"sha1={digest(NEW, algorithm='sha1')}"}
    assert verify("github", weak) is None
    assert verify("github", weak, allow_sha1=True)
    assert verify("github", {**weak, "X-Hub-Signature-256": "sha256=0"}, allow_sha1=True) is None


def standard(age_seconds: int = 0, id_: str = "msg_1", body: bytes = BODY) -> dict[str, str]:
    timestamp = str(int(time.time()) - age_seconds)
    signature = signatures.sign([signatures.key_of(WHSEC)], id_, timestamp, body)
    return {"webhook-id": id_, "webhook-timestamp": timestamp, "webhook-signature": signature}


def test_the_example_of_the_standard_is_signed_alike() -> None:
    """The vector of the specification's reference implementations."""
    signature = signatures.sign(
        [signatures.key_of(WHSEC)],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_standard_webhook_is_genuine_within_the_tolerance() -> None:
    assert verify("standard", standard())
    assert verify("standard", standard(200))
    assert verify("standard", standard(400)) is None
    assert verify("standard", standard(-400)) is None
    assert verify("standard", standard(400), tolerance_seconds=1_000)


def test_several_signatures_may_come_and_one_must_match() -> None:
    headers = standard()
    good = headers["webhook-signature"]
    assert verify("standard", {**headers, "webhook-signature": f"v1,AAAA v2,x {good}"})
    assert verify("standard", {**headers, "webhook-signature": "v1,AAAA v1a,BBBB"}) is None
    assert verify("standard", {**headers, "webhook-signature": f"{'v1,AAAA ' * 100}{good}"}) is None


def test_all_that_a_standard_webhook_signs_matters() -> None:
    headers = standard()
    assert verify("standard", headers, BODY + b" ") is None
    assert verify("standard", {**headers, "webhook-id": "msg_2"}) is None
    later = str(int(headers["webhook-timestamp"]) + 1)
    assert verify("standard", {**headers, "webhook-timestamp": later}) is None


def test_repetitions_have_one_key_that_only_the_signer_can_choose() -> None:
    signed = {"X-Hub-Signature-256": f"sha256={digest(NEW)}"}
    one = verify("github", {**signed, "X-GitHub-Delivery": "1"})
    two = verify("github", {**signed, "X-GitHub-Delivery": "2"})
    assert one is not None
    assert one == two
    first, again = verify("standard", standard(1)), verify("standard", standard(), BODY)
    other = verify("standard", standard(id_="msg_2"))
    assert first == again != other


def test_a_plain_hmac_is_read_as_configured() -> None:
    raw = hmac.new(NEW.encode(), BODY, "sha256").digest()
    text = base64.b64encode(raw).decode()
    assert verify("hmac", {"X-Sign": raw.hex()}, header="X-Sign")
    assert verify(
        "hmac", {"X-Sign": f"v0={text}"}, header="X-Sign", encoding="base64", prefix="v0="
    )
    assert verify("hmac", {"X-Sign": text}, header="X-Sign") is None
