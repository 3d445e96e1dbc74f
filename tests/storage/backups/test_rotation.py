"""Which backups are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from visionflow_daemon.storage.backups.rotation import Rotation, spared

MONDAY = datetime(2030, 1, 7, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def test_the_newest_are_kept_and_the_last_of_each_week() -> None:
    now = MONDAY + 3 * DAY
    daily = [now - each * DAY for each in range(60)]
    kept = sorted(spared(daily, Rotation(keep=7, keep_weeks=4), now), reverse=True)
    assert kept[:7] == daily[:7]
    assert kept[7:] == [MONDAY - 8 * DAY, MONDAY - 15 * DAY]  # Sundays; the last one is among the seven
    assert spared(daily, Rotation(keep=1, keep_weeks=0), now) == {now}


def test_what_is_kept_every_day_for_a_year_is_what_the_rule_says() -> None:
    there: set[datetime] = set()
    for number in range(365):
        now = MONDAY + number * DAY
        there = set(spared(there | {now}, Rotation(keep=7, keep_weeks=4), now))
    sundays = {now - timedelta(days=now.weekday() + 1 + 7 * each) for each in range(3)}
    assert there == {now - each * DAY for each in range(7)} | sundays


def test_one_of_the_future_takes_no_other_ones_place() -> None:
    future = [MONDAY + each * DAY for each in range(1, 10)]
    assert spared([*future, MONDAY, MONDAY - DAY], Rotation(keep=1, keep_weeks=0), MONDAY) == {*future, MONDAY}


moments = st.lists(st.datetimes(datetime(2029, 1, 1), datetime(2031, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)))  # noqa: DTZ001 - hypothesis takes bounds without


@given(moments, st.integers(1, 9), st.integers(0, 9))
def test_at_most_so_many_are_kept_and_always_the_newest(found: list[datetime], keep: int, weeks: int) -> None:
    now = datetime(2031, 1, 1, tzinfo=UTC)
    kept = spared(found, Rotation(keep, weeks), now)
    assert len(kept) <= keep + weeks
    assert set(sorted(set(found), reverse=True)[:keep]) <= kept <= set(found)
    assert spared(kept, Rotation(keep, weeks), now) == kept
