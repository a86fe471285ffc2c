"""Trying whether alerts arrive: one event goes the whole way, from a log record to every sink."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jobresults.alerts import process, scripts
from jobresults.alerts.breaker import Breaker
from jobresults.alerts.groups import GroupStore, Told
from jobresults.alerts.handler import AlertHandler
from jobresults.alerts.model import TRIAL_LOGGER
from jobresults.alerts.sinks import configured
from jobresults.alerts.start import start_alerts
from jobresults.errors import RedisUnavailable
from jobresults.redis_store import Client, connect, guarded
from jobresults.settings import Settings

SINKS = ("slack", "email")
_FLUSH_SECONDS = 5.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Verdict:
    """What became of it at one sink. `is_final`: waiting longer would not change that."""

    text: str
    delivered: bool = False
    is_final: bool = True


def run_trial(settings: Settings, seconds: float) -> dict[str, Verdict]:
    """Send a trial, and say of each sink within so many seconds what became of it there.

    Raises:
        RedisUnavailable: it did not get any further than that.
    """
    redis = connect(settings.redis)
    store, sinks = GroupStore(redis), configured(settings.alerts)
    began_ms = store.clock_ms()
    fingerprint = _log(settings)
    until = time.monotonic() + seconds
    while True:
        told: Mapping[str, Told] = {}
        for tracked in store.read([fingerprint]):
            told = tracked.told
        verdicts = {
            name: _verdict(redis, name, told.get(name), began_ms, seconds) for name in sinks
        }
        if all(verdict.is_final for verdict in verdicts.values()) or time.monotonic() >= until:
            return {name: verdicts.get(name, Verdict("not configured")) for name in SINKS}
        time.sleep(_LOOK_SECONDS)


def _log(settings: Settings) -> str:
    """The event, as any process of the service would log it. Returns its fingerprint."""
    transport = start_alerts(settings)
    key = f"trial:{secrets.token_hex(8)}"
    members = {
        "name": TRIAL_LOGGER,
        "levelno": logging.CRITICAL,
        "levelname": "CRITICAL",
        "msg": "someone tries whether alerts arrive",
        "alert_key": key,
        "alert_title": "Test of the alerts",
    }
    AlertHandler().handle(logging.makeLogRecord(members))
    if not process.alerts.flush(_FLUSH_SECONDS):
        raise RedisUnavailable("redis: it did not take the trial; see redis.url")
    return transport.writer.fingerprint(key)


def _verdict(redis: Client, sink: str, told: Told | None, began_ms: int, seconds: float) -> Verdict:
    if told is not None and told.posted_ms is not None:
        return Verdict("delivered", delivered=True)
    if told is not None and told.refusal is not None:
        return Verdict(f"refused: {told.refusal}")
    health = Breaker(redis).health(sink)
    if health.reason is not None:
        return Verdict(f"failing, and tried again: {health.reason}", is_final=False)
    with guarded(redis):
        asked_ms: Any = redis.zscore(scripts.PREFIX + "sinks", sink)
    if asked_ms is None or asked_ms < began_ms:
        text = f"no relay looked for it within {seconds:g} s: does `jobresults maintenance` run?"
        return Verdict(text, is_final=False)
    return Verdict(f"not delivered within {seconds:g} s; is another message due?", is_final=False)
