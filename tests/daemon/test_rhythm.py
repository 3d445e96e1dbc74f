"""Looks come once an interval, jitter and all: they neither drift nor double."""

from __future__ import annotations

from datetime import timedelta

from visionflow_daemon.daemon.rhythm import Rhythm


def test_a_thousand_looks_are_each_in_their_own_interval() -> None:
    rhythm = Rhythm(60.0, 20.0)
    now = rhythm.start_date - timedelta(seconds=60)
    looks = []
    for _ in range(1_000):
        looks.append(due := rhythm.get_next_fire_time(looks[-1] if looks else None, now))
        now = due + timedelta(seconds=0.5)
    off = [(look - rhythm.start_date).total_seconds() - number * 60.0 for number, look in enumerate(looks)]
    assert max(map(abs, off)) <= 20.0
    assert min(off) < -15.0
    assert max(off) > 15.0
    assert abs(sum(off)) / len(off) < 3.0


def test_looks_that_were_missed_are_passed_over() -> None:
    rhythm = Rhythm(1.0, 0.4)
    last = rhythm.start_date + timedelta(seconds=3.2)
    woke = last + timedelta(days=30)
    due = rhythm.get_next_fire_time(last, woke)
    assert abs((due - woke).total_seconds()) <= 1.4


def test_the_first_look_comes_after_an_interval() -> None:
    rhythm = Rhythm(60.0, 0.0)
    assert rhythm.get_next_fire_time(None, rhythm.start_date - timedelta(seconds=59)) == rhythm.start_date
