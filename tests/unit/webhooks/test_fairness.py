"""Who is served next."""

from __future__ import annotations

from jobresults.webhooks.fairness import Slots


def test_slots_go_round_among_targets() -> None:
    slots = Slots(total=9, per_target=4)
    assert slots.share_out(["a x", "b y", "c z"]) == {"a x": 3, "b y": 3, "c z": 3}
    assert slots.share_out(["a x", "b y"]) == {"a x": 4, "b y": 4}
    assert slots.share_out(["a x"]) == {"a x": 4}
    assert slots.share_out([]) == {}


def test_a_target_that_hangs_leaves_slots_to_others() -> None:
    slots = Slots(total=10, per_target=4)
    for _ in range(4):
        slots.take("a dead")
    assert slots.share_out(["a dead", "b good"]) == {"b good": 4}
    assert slots.free == 6


def test_a_client_with_many_targets_has_half_of_the_slots() -> None:
    slots = Slots(total=8, per_target=4)
    wanted = slots.share_out([*(f"greedy {number}" for number in range(20)), "modest x"])
    assert wanted["modest x"] == 4
    assert sum(wanted.values()) == 8


def test_a_target_that_failed_is_probed_by_one_delivery_until_one_succeeds() -> None:
    slots = Slots(total=8, per_target=4)
    slots.take("a x")
    slots.give_back("a x", ok=False)
    assert slots.share_out(["a x"]) == {"a x": 1}
    slots.take("a x")
    assert slots.share_out(["a x"]) == {}
    slots.give_back("a x", ok=True)
    assert slots.share_out(["a x"]) == {"a x": 4}
    assert slots.free == 8


def test_no_slot_is_given_twice() -> None:
    slots = Slots(total=2, per_target=4)
    for target in ("a x", "b y"):
        slots.take(target)
    assert slots.share_out(["c z"]) == {}
