"""The relay in maintenance: a courier per sink, each in its own thread, and a dead man's switch."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from jobresults.alerts.breaker import Breaker
from jobresults.alerts.courier import OUTCOMES, Courier
from jobresults.alerts.delivery import BoundedSink
from jobresults.alerts.groups import HEARTBEAT_KEY, GroupStore
from jobresults.alerts.handler import AlertHandler
from jobresults.alerts.judgement import Silences
from jobresults.alerts.model import Sink
from jobresults.alerts.routing import SilenceLink
from jobresults.alerts.sinks import deadline_seconds, open_sinks
from jobresults.alerts.transport import RedisTransport
from jobresults.errors import RedisUnavailable, Unavailable
from jobresults.redis_store import connect
from jobresults.settings import Settings
from jobresults.telemetry import metrics

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5
_PAUSE_SECONDS = 2.0
_BEAT_SECONDS = 60.0
_PING_DEADLINE_SECONDS = 5.0
_STOP_SECONDS = 1.0


class Relay:
    """Sends what is due until it is stopped. Any number of processes may run one."""

    def __init__(
        self,
        settings: Settings,
        transport: RedisTransport,
        *,
        sinks: Sequence[Sink] | None = None,
        silences: Silences | None = None,
        silence_link: SilenceLink | None = None,
        tell_outage: Callable[[Unavailable], None] | None = None,
    ) -> None:
        """`tell_outage` is called each time Redis does not answer; without it that is logged."""
        self._tell_outage = tell_outage or _tell_outage
        self._settings = settings
        opened = open_sinks(settings) if sinks is None else list(sinks)
        names = [sink.name for sink in opened]
        metrics.begin_at_zero(metrics.ALERT_NOTIFICATIONS, names, OUTCOMES)
        metrics.begin_at_zero(metrics.ALERT_DELIVERY, names)
        metrics.begin_at_zero(metrics.ALERT_DROPPED, ["refused"])
        self._couriers = [
            Courier(
                BoundedSink(sink, deadline_seconds(sink, settings)),
                names,
                connect(settings.redis),
                settings,
                silences=silences,
                silence_link=silence_link,
            )
            for sink in opened
        ]
        self.heart = Heart(settings, transport, names)
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin, in threads of its own."""
        if not self._couriers:
            logger.info("alerts go nowhere: set alerts.slack or alerts.email; they can be listed")
        for courier in self._couriers:
            self._spawn(f"alerts-{courier.name}", _LOOK_SECONDS, courier.step)
        self._spawn("alerts-heart", _BEAT_SECONDS, self.heart.beat)

    def stop(self) -> None:
        """Let what is being sent be noted, for a second; what is due later is left to others."""
        self._stopped.set()
        until = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _spawn(self, name: str, interval_seconds: float, step: Callable[[], None]) -> None:
        thread = threading.Thread(
            target=self._repeat, args=(interval_seconds, step), name=name, daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _repeat(self, interval_seconds: float, step: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            pause_seconds = interval_seconds
            try:
                step()
            except RedisUnavailable as error:
                self._tell_outage(error)
                pause_seconds = max(pause_seconds, _PAUSE_SECONDS)
            except Exception:
                logger.exception("an alert's delivery failed; trying again")
                pause_seconds = max(pause_seconds, _PAUSE_SECONDS)
            self._stopped.wait(pause_seconds)


def _tell_outage(error: Unavailable) -> None:
    logger.warning("alerts wait: %s", error)


class Heart:
    """Sends an event the way of all alerts, and notes when it came through and a sink works; then
    it pings `alerts.heartbeat_url`.
    """

    def __init__(self, settings: Settings, transport: RedisTransport, sinks: Sequence[str]) -> None:
        self._url = settings.alerts.heartbeat_url
        self._takeover_ms = round(settings.alerts.takeover_seconds * 1000)
        self._transport, self._sinks = transport, sinks
        redis = connect(settings.redis)
        self._groups, self._breaker = GroupStore(redis), Breaker(redis)
        self.beat_at_seconds: float | None = None
        """When alerts were last seen to work, in seconds since 1970 UTC; None: not yet."""

    patience_seconds = 10.0
    """How long a heartbeat may be on its way."""

    def beat(self) -> None:
        """Once. Raises RedisUnavailable."""
        handler = next(
            (it for it in logging.getLogger().handlers if type(it) is AlertHandler), None
        )
        if handler is None:
            if self._url is not None:
                logger.warning("no heartbeat: the root logger has no alert handler")
            return
        began_ms = self._groups.clock_ms()
        handler.handle(
            logging.makeLogRecord(
                {
                    "name": "heartbeat",
                    "levelno": logging.ERROR,
                    "levelname": "ERROR",
                    "msg": "heartbeat",
                    "alert_key": HEARTBEAT_KEY,
                }
            )
        )
        if not self._came_through(began_ms):
            logger.warning("no heartbeat: it did not come through")
        elif not self._can_tell():
            logger.warning("no heartbeat: no sink takes messages")
        else:
            self.beat_at_seconds = time.time()
            if self._url is not None:
                self._ping(self._url.get_secret_value())

    def _came_through(self, began_ms: int) -> bool:
        until = time.monotonic() + self.patience_seconds
        while time.monotonic() < until:
            beat_ms = self._groups.heartbeat_ms(self._transport.writer.process)
            if beat_ms is not None and beat_ms >= began_ms:
                return True
            time.sleep(0.1)
        return False

    def _can_tell(self) -> bool:
        now_ms = self._groups.clock_ms()
        return not self._sinks or any(
            not self._breaker.health(sink).has_failed_for(now_ms, self._takeover_ms)
            for sink in self._sinks
        )

    def _ping(self, url: str) -> None:
        import requests  # 6 MiB, and few have a heartbeat

        try:
            requests.get(url, timeout=_PING_DEADLINE_SECONDS, stream=True).close()
        except requests.RequestException as error:
            logger.warning("the heartbeat was not taken: %s", type(error).__name__)
