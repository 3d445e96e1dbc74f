"""Which backups are kept: the newest ones, and for some weeks the last one of each week. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many backups are kept: the `keep` newest, and the last one of each of the `keep_weeks` newest weeks."""

    keep: int = 7
    keep_weeks: int = 4


def spared(moments: Iterable[datetime], rotation: Rotation, now: datetime) -> frozenset[datetime]:
    """Choose those to keep; weeks are the calendar's, from Monday on, in UTC, the one of `now` among them.

    The newest one always is kept. One of the future was taken while the clock was wrong: it is kept, and doesn't count.
    """
    in_order = sorted(set(moments), reverse=True)
    counted = [each for each in in_order if each <= now]
    kept = set(in_order).difference(counted).union(counted[: max(rotation.keep, 1)])
    oldest = _monday(now) - timedelta(weeks=rotation.keep_weeks - 1)
    last_of_week: dict[datetime, datetime] = {}
    for each in counted:
        last_of_week.setdefault(_monday(each), each)
    return frozenset(kept.union(each for week, each in last_of_week.items() if week >= oldest))


def _monday(moment: datetime) -> datetime:
    at = moment.astimezone(UTC)
    return datetime(at.year, at.month, at.day, tzinfo=UTC) - timedelta(days=at.weekday())
