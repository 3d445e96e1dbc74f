"""Stops a pass in which so many files fail that the fault can hardly be theirs (ADR 0016)."""

from __future__ import annotations

import threading

from visionflow_daemon.errors import FailingError
from visionflow_daemon.sync.breaker import Rules
from visionflow_daemon.sync.progress import Outcome


class Failing:
    """Counts the failures of one pass; safe to use from many threads.

    The share is that of the whole plan: a folder of broken pages says nothing, wherever in the order it comes.
    """

    def __init__(self, rules: Rules, planned: int) -> None:
        self._rules = rules
        self._most = max(rules.fewest_failing, int(rules.failing_share * planned))
        self._planned = planned
        self._failed = 0
        self._in_a_row = 0
        self._lock = threading.Lock()

    def add(self, outcome: Outcome) -> None:
        """Count one file. Raises FailingError when the pass is to stop."""
        with self._lock:
            if outcome.kind != "failed":
                self._in_a_row = 0
                return
            self._failed += 1
            self._in_a_row = self._in_a_row + 1 if outcome.is_transient else 0
            failed, in_a_row = self._failed, self._in_a_row
        if self._rules.failing_share >= 1:
            return
        if in_a_row >= self._rules.fewest_failing:
            raise FailingError(
                f"{in_a_row:,} files in a row could not be read or saved, each tried three times, as if the disk, the "
                "repository or the database failed: the pass was stopped, and what is saved stays. See "
                "`visionflow-daemon failures`"
            )
        if failed > self._most:
            raise FailingError(
                f"{failed:,} of {self._planned:,} files failed ({failed / self._planned:.0%}; breaker.failing_share "
                f"allows {self._rules.failing_share:.0%}): the pass was stopped, and what is saved stays. See "
                "`visionflow-daemon failures`; if that many are to fail, raise the share, or choose other files with "
                "--include and --exclude"
            )
