"""Telling one sink what is due for it. Any number of couriers may work for one sink."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from jobresults.alerts import policy
from jobresults.alerts.breaker import Breaker, Health
from jobresults.alerts.delivery import BoundedSink
from jobresults.alerts.groups import GroupStore, Told
from jobresults.alerts.judgement import Item, Judge, NoSilences, Silences
from jobresults.alerts.model import Entry, Kind, Notification, Receipt, Severity, SinkError
from jobresults.alerts.routing import SilenceLink, links_of
from jobresults.redis_store import Client
from jobresults.settings import Settings
from jobresults.telemetry import metrics

logger = logging.getLogger(__name__)

# A relay that dies delays the groups it has claimed by so much, or by what a slow sink needs.
_MIN_HOLD_MS = 30_000
_HOLD_MARGIN_MS = 5_000
_CLAIM_LIMIT = 200
_TURN_MS = 1_000
_MAX_REASON_CHARACTERS = 300
OUTCOMES = ("sent", "failed", "refused")


class Courier:
    """For one sink. Not thread-safe."""

    def __init__(
        self,
        sink: BoundedSink,
        sinks: Iterable[str],
        redis: Client,
        settings: Settings,
        *,
        silences: Silences | None = None,
        silence_link: SilenceLink | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        self.name = sink.name
        self._sink, self._sinks = sink, frozenset(sinks)
        self._groups, self._breaker = GroupStore(redis), Breaker(redis)
        self._settings = settings.alerts
        self._rhythm = policy.Rhythm.of(settings.alerts)
        self._judge = Judge(
            self.name,
            self._sinks,
            self._groups,
            settings,
            silences or NoSilences(),
            can_edit=sink.can_edit,
        )
        self._silence_link = silence_link
        self._clock_ms = clock_ms or self._groups.clock_ms
        deadline_ms = round(sink.deadline_seconds * 1000)
        self._hold_ms = max(_MIN_HOLD_MS, 2 * deadline_ms + _HOLD_MARGIN_MS)
        # A call that begins within this time ends while the groups are still ours.
        self._may_begin_ms = self._hold_ms - deadline_ms - _HOLD_MARGIN_MS

    def step(self) -> None:
        """Tell the sink what is due.

        Raises:
            RedisUnavailable: what was told and not noted is told again.
        """
        now_ms = self._clock_ms()
        health = {name: self._breaker.health(name) for name in self._sinks}
        if health[self.name].rests(now_ms):
            return
        _, claimed = self._groups.claim(
            self.name,
            hold_ms=self._hold_ms,
            limit=_CLAIM_LIMIT,
            resolve_after_ms=round(self._settings.resolve_after_seconds * 1000),
            now_ms=now_ms,
        )
        items = self._judge.judge(claimed, health, now_ms)
        for item in items:
            if item.decision.kind is None:
                self._put_back(item, now_ms, item.decision.look_again_ms)
        self._tell([item for item in items if item.decision.kind is not None], health, now_ms)

    def _tell(self, items: list[Item], health: Mapping[str, Health], now_ms: int) -> None:
        own = health[self.name]
        takeover_ms = round(self._settings.takeover_seconds * 1000)
        if own.has_failed_for(now_ms, takeover_ms) and len(items) > 1:
            self._tell_digests(items, "what came while this sink failed", now_ms)
            return
        items = self._without_storm(items, own, now_ms)
        items.sort(key=lambda item: item.tracked.group.severity is not Severity.CRITICAL)
        while items:
            is_late = self._clock_ms() - now_ms > self._may_begin_ms
            if is_late or not self._groups.take_turn(self.name, _TURN_MS):
                self._postpone(items, now_ms, now_ms + _TURN_MS)
                return
            item = items.pop(0)
            failed_until_ms = self._tell_one(item, now_ms)
            if failed_until_ms is not None:
                self._postpone(items, now_ms, failed_until_ms)
                return

    def _without_storm(self, items: list[Item], own: Health, now_ms: int) -> list[Item]:
        """In a storm of new groups these are told together. Returns the others."""
        window_ms = round(self._settings.storm_window_seconds * 1000)
        new = [item for item in items if item.decision.kind in (Kind.FIRST, Kind.REGRESSION)]
        opened = self._groups.count_opened(now_ms - window_ms) if new else 0
        if opened <= self._settings.storm_groups:
            return items
        if now_ms < own.digest_ms + window_ms:
            self._postpone(new, now_ms, own.digest_ms + window_ms)
        else:
            self._breaker.note_digest(self.name, now_ms)
            self._tell_digests(new, f"{opened} new problems in {window_ms // 1000} s", now_ms)
        return [item for item in items if item not in new]

    def _tell_digests(self, items: Sequence[Item], note: str, now_ms: int) -> None:
        by_address = defaultdict(list)
        for item in items:
            by_address[item.address].append(item)
        wait_until_ms = None
        for address, together in by_address.items():
            if wait_until_ms is None and not self._groups.take_turn(self.name, _TURN_MS):
                wait_until_ms = now_ms + _TURN_MS
            if wait_until_ms is not None:
                self._postpone(together, now_ms, wait_until_ms)
                continue
            entries = tuple(self._entry(item, now_ms) for item in together)
            notification = Notification(Kind.DIGEST, entries, *address, note)
            wait_until_ms = self._send(together, notification, now_ms)

    def _tell_one(self, item: Item, now_ms: int) -> int | None:
        assert item.decision.kind is not None
        entries = (self._entry(item, now_ms),)
        notification = Notification(item.decision.kind, entries, *item.address, item.note)
        return self._send([item], notification, now_ms)

    def _send(self, items: Sequence[Item], notification: Notification, now_ms: int) -> int | None:
        """Returns until when the sink is not to be tried again; None if it may be."""
        is_digest = notification.kind is Kind.DIGEST
        try:
            with metrics.ALERT_DELIVERY.labels(self.name).time():
                if items[0].decision.is_edit and not is_digest:
                    receipt = self._sink.update(notification, items[0].told.receipt)
                else:
                    receipt = self._sink.send(notification)
        except SinkError as error:
            self._count("refused" if error.permanent else "failed")
            return self._note_failure(items, error, now_ms)
        self._count("sent")
        self._breaker.note_success(self.name)
        for item in items:
            self._note_told(item, Receipt() if is_digest else receipt, now_ms)
        return None

    def _count(self, outcome: str) -> None:
        metrics.ALERT_NOTIFICATIONS.labels(self.name, outcome).inc()

    def _note_told(self, item: Item, receipt: Receipt, now_ms: int) -> None:
        told = policy.after(item.tracked, item.told, item.decision, now_ms, receipt)
        look_again_ms = policy.look_after(item.tracked, told, self._rhythm, now_ms)
        self._put_back(item, now_ms, look_again_ms, told)

    def _note_failure(self, items: Sequence[Item], error: SinkError, now_ms: int) -> int | None:
        logger.warning("%s did not take an alert: %s", self.name, error)
        if not error.permanent:
            now_ms = self._clock_ms()  # the call may have taken long
            retry_at_ms = self._breaker.note_failure(self.name, error, now_ms)
            self._postpone(items, now_ms, retry_at_ms)
            return retry_at_ms
        for item in items:
            if self._is_refused_by_all(item):
                metrics.ALERT_DROPPED.labels("refused").inc()
            told = replace(item.told, refusal=str(error)[:_MAX_REASON_CHARACTERS])
            if len(self._sinks) > 1:  # another one takes it over
                told = replace(told, opening=item.tracked.opening, is_refused=True)
                self._put_back(item, now_ms, None, told)
            else:
                self._put_back(item, now_ms, now_ms + self._rhythm.group_interval_ms, told)
        return None

    def _is_refused_by_all(self, item: Item) -> bool:
        """The other sinks have refused the group as well; counted at this one's first refusal."""
        told = {name: item.tracked.told.get(name, Told()) for name in self._sinks - {self.name}}
        return item.told.refusal is None and all(
            it.is_refused and it.opening == item.tracked.opening for it in told.values()
        )

    def _postpone(self, items: Sequence[Item], now_ms: int, until_ms: int) -> None:
        for item in items:
            self._put_back(item, now_ms, until_ms)

    def _put_back(
        self, item: Item, now_ms: int, look_again_ms: int | None, told: Told | None = None
    ) -> None:
        noted = self._groups.acknowledge(
            self.name,
            item.tracked,
            told=told,
            look_again_ms=look_again_ms,
            wait_ms=self._rhythm.group_wait_ms,
            suppressed=item.suppressed,
            now_ms=now_ms,
        )
        if not noted and told is not None:
            fingerprint_ = item.tracked.group.fingerprint
            logger.warning("alert %s was told twice: this relay was too slow", fingerprint_)

    def _entry(self, item: Item, now_ms: int) -> Entry:
        group, told = item.tracked.group, item.told
        is_known = told.opening == item.tracked.opening and told.posted_ms is not None
        is_over = item.decision.kind is Kind.RESOLVED
        return Entry(
            group,
            links_of(group, item.route, self._settings.links, self._silence_link),
            item.route.owner,
            count_before=told.told_count if is_known else None,
            quiet_ms=now_ms - group.last_ms if is_over else None,
        )
