"""How a source is doing, as far as it is news: in step, failing, or held. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.hooks.event import Kind, Trouble


@dataclass(frozen=True, slots=True)
class Condition:
    """What is wrong with a source that is not in step: it fails, or is held at a mark."""

    kind: Kind
    trouble: Trouble
    mark: str | None = None


def after_failure(
    before: Condition | None, reason: str, code: ExitCode, mark: str | None, now: str
) -> tuple[Condition, bool]:
    """Give the condition after one more failed pass, and whether it is news.

    It is when it is another than before; the same failure again is not, but deletions held at another commit are.
    """
    kind = Kind.HELD if code is ExitCode.HELD else Kind.FAILING
    since, failures = (before.trouble.since, before.trouble.failures) if before else (now, 0)
    is_news = before is None or before.kind is not kind or before.mark != mark
    if before is not None and kind is Kind.HELD and not is_news:
        reason = before.trouble.reason  # which says more than that it is held still
    return Condition(kind, Trouble(since, failures + 1, reason, int(code)), mark), is_news
