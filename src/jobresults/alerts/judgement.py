"""What is to be done about an alert group at one sink: told, left to another sink, or held back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from jobresults.alerts import fingerprint, policy
from jobresults.alerts.breaker import Health
from jobresults.alerts.groups import GroupStore, Told, Tracked
from jobresults.alerts.model import Group, Kind
from jobresults.alerts.policy import Decision
from jobresults.alerts.routing import first_choice, route_of
from jobresults.settings import AlertRoute, Settings

_SUPPRESSED_LOOK_MS = 15_000
_STAND_IN_LOOK_MS = 10_000
# Conditions that explain errors: by what such errors name as their cause.
OUTAGES = {"redis": "condition:redis_down", "database": "condition:database_down"}


class Silence(Protocol):
    """Why a group is not told."""

    @property
    def reason(self) -> str: ...


class Silences(Protocol):
    """The silences that hold now."""

    def find(self, group: Group) -> Silence | None: ...


class NoSilences:
    """Where there are none."""

    def find(self, group: Group) -> None:
        return None


@dataclass(frozen=True)
class Item:
    """A claimed group and what is to be done about it."""

    tracked: Tracked
    told: Told
    route: AlertRoute
    decision: Decision
    suppressed: str | None = None
    note: str | None = None

    @property
    def address(self) -> tuple[str | None, tuple[str, ...]]:
        return self.route.slack_channel, self.route.mail_addresses


class Judge:
    """For one sink among `sinks`."""

    def __init__(
        self,
        name: str,
        sinks: frozenset[str],
        groups: GroupStore,
        settings: Settings,
        silences: Silences,
        *,
        can_edit: bool,
    ) -> None:
        self._name, self._sinks, self._groups = name, sinks, groups
        self._settings, self._environment = settings.alerts, settings.environment
        self._rhythm = policy.Rhythm.of(settings.alerts)
        self._silences = silences
        self._can_edit = can_edit

    def judge(
        self, claimed: Sequence[Tracked], health: Mapping[str, Health], now_ms: int
    ) -> list[Item]:
        """The groups, in their order, each with its decision; None as its kind: nothing is told.

        Raises:
            RedisUnavailable
        """
        outages = self._outages(claimed)
        return [self._judge(tracked, health, outages, now_ms) for tracked in claimed]

    def _judge(
        self,
        tracked: Tracked,
        health: Mapping[str, Health],
        outages: Mapping[str, Sequence[Group]],
        now_ms: int,
    ) -> Item:
        group, told = tracked.group, tracked.told.get(self._name, Told())
        route = route_of(group, self._settings)
        decision = policy.decide(tracked, told, self._rhythm, now_ms, can_edit=self._can_edit)
        item = Item(tracked, told, route, decision)
        choice = first_choice(group, route, self._sinks)
        if self._name not in choice:
            item = self._stand_in(item, choice, health, now_ms)
        suppressed = self._suppressed(group, outages)
        if suppressed is None:
            return item
        again_ms = now_ms + _SUPPRESSED_LOOK_MS
        look = None if tracked.is_resolved(now_ms) and not item.decision.kind else again_ms
        return replace(item, decision=Decision(None, look), suppressed=suppressed)

    def _stand_in(
        self, item: Item, choice: frozenset[str], health: Mapping[str, Health], now_ms: int
    ) -> Item:
        """The group is another sink's, unless that does not take it."""
        takeover_ms = round(self._settings.takeover_seconds * 1000)
        tracked = item.tracked
        others = {name: tracked.told.get(name, Told()) for name in choice}
        was_told = item.told.opening == tracked.opening and item.told.posted_ms is not None
        is_settled = all(
            told.opening == tracked.opening and told.told_count == tracked.group.count
            for told in others.values()
        )
        if is_settled and not was_told:
            return replace(item, decision=Decision(None, None))
        out = [
            name
            for name, told in others.items()
            if health[name].has_failed_for(now_ms, takeover_ms)
            or (told.is_refused and told.opening == tracked.opening)
        ]
        if out:
            return replace(item, note=f"sent here since {' and '.join(sorted(out))} failed")
        if was_told and item.decision.kind in (None, Kind.RESOLVED):
            return item  # who heard of it hears of its end
        return replace(item, decision=Decision(None, now_ms + _STAND_IN_LOOK_MS))

    def _suppressed(self, group: Group, outages: Mapping[str, Sequence[Group]]) -> str | None:
        silence = self._silences.find(group)
        if silence is not None:
            return f"silenced: {silence.reason}"
        cause = group.sample.cause
        if cause is not None and policy.follows_from(group, outages.get(cause, ())):
            return f"inhibited: follows from {cause} being down"
        return None

    def _outages(self, claimed: Sequence[Tracked]) -> dict[str, list[Group]]:
        causes = {item.group.sample.cause for item in claimed} & OUTAGES.keys()
        service, environment = self._settings.service, self._environment
        return {
            cause: [
                found.group
                for found in self._groups.read(
                    [fingerprint.of_key(service, environment, OUTAGES[cause])]
                )
            ]
            for cause in causes
            if cause is not None
        }
