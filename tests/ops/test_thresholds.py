"""The times that alerts wait, against the circuit breaker's own code: who changes one is to look at the other."""

from __future__ import annotations

import random
import re
from datetime import datetime, timedelta
from itertools import count

import pytest

from tests.ops.support import START
from tests.support import PROJECT
from visionflow_daemon.sync.breaker import Breaker, Guarded, Rules, failed

ALERTS = (PROJECT / "docs" / "monitoring" / "alerts.yml").read_text()
INTERVAL, JITTER, EVALUATED_EVERY = 60.0, 5.0, 30.0
OUTAGES = 300


def waits(alert: str) -> float:
    """Give the seconds for which an alert's condition has to hold."""
    found = re.search(rf"- alert: {alert}\n.*?for: (\d+)m\n", ALERTS, re.DOTALL)
    assert found is not None
    return 60.0 * int(found[1])


def outage(minutes: float, chance: random.Random) -> tuple[float, float]:
    """Live through an outage; give the seconds that the breaker was open, and how old the last success got."""
    began = INTERVAL * chance.random()  # the last pass before it came through at 0
    breaker, opened = Breaker(Guarded.REMOTE), None
    for number in count(1):
        at = INTERVAL * number + chance.uniform(-JITTER, JITTER)
        if breaker.retry_at is not None:
            at = (datetime.fromisoformat(breaker.retry_at) - START).total_seconds()
        if at >= began + 60 * minutes:
            return at - opened if opened is not None else 0.0, at
        if at >= began:
            now = START + timedelta(seconds=at)
            breaker = failed(breaker, "no answer", Rules(), now, at_once=False, jitter=chance.random())
            if breaker.retry_at is not None and opened is None:
                opened = at
    raise AssertionError


def outages(minutes: float) -> list[tuple[float, float]]:
    """Live through many outages of one length."""
    chance = random.Random(minutes)  # noqa: S311 - the same every time
    return [outage(minutes, chance) for _ in range(OUTAGES)]


@pytest.mark.parametrize("minutes", [2, 5, 10])
def test_an_outage_of_up_to_ten_minutes_is_not_told_of(minutes: float) -> None:
    assert max(is_open for is_open, _ in outages(minutes)) < waits("VisionflowBreakerOpen")


@pytest.mark.parametrize("minutes", [15, 60, 480])
def test_one_of_a_quarter_of_an_hour_is(minutes: float) -> None:
    assert min(is_open for is_open, _ in outages(minutes)) > waits("VisionflowBreakerOpen") + EVALUATED_EVERY


def test_an_outage_of_up_to_three_quarters_of_an_hour_wakes_nobody() -> None:
    found = re.search(r"- alert: VisionflowSourceStale\n.*?timestamp_seconds > (\d+)\n", ALERTS, re.DOTALL)
    assert found is not None
    assert max(age for _, age in outages(45)) < float(found[1])
