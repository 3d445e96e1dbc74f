"""Draws the status page: how each source stands, what goes on, and what failed."""

from __future__ import annotations

from visionflow_daemon.git.rollout import ALL
from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.chart import chart, colour_of, done_of, seconds_of
from visionflow_daemon.ops.health import Readiness, readiness
from visionflow_daemon.ops.readers import FAILURES, Held, Readers
from visionflow_daemon.ops.standing import Progress, Snapshot, SourceStanding
from visionflow_daemon.ops.style import POLICY, SCRIPT, STYLE, icon
from visionflow_daemon.ops.words import ago, ahead, clock, escaped, number, span
from visionflow_daemon.storage.checkpoint import LastRun
from visionflow_daemon.storage.ledger import LedgerEntry
from visionflow_daemon.sync.breaker import Breaker, State

__all__ = ["POLICY", "render"]

PASSES = 10
"""Passes in the table; the chart shows more."""


def render(snapshot: Snapshot, readers: Readers, ready_intervals: float, version: str) -> str:
    """Draw the whole page."""
    ready = readiness(snapshot, readers, ready_intervals)
    word, colour = _overall(snapshot, ready)
    sources = "".join(
        _source(source, each, readers, snapshot) for source, each in zip(snapshot.sources, ready, strict=True)
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="{icon(colour)}">'
        f"<title>{word} · visionflow-daemon</title><style>{STYLE}</style>"
        '<noscript><meta http-equiv="refresh" content="5"></noscript></head><body><main>'
        f'<header><h1>visionflow-daemon</h1><span class="badge {colour}">{word}</span>'
        f'<span class="soft">{clock(snapshot.at)}, up {span((snapshot.at - snapshot.started_at).total_seconds())}'
        f"</span></header>{sources or '<section><p>No source is known yet.</p></section>'}</main>"
        '<p id="lost" class="note bad"><b>No answer.</b> The figures are old; the page keeps asking.</p>'
        f'<footer>Version {escaped(version)} · <a href="status">status</a> · <a href="metrics">metrics</a> · '
        f'<a href="readyz">readyz</a></footer><script>{SCRIPT}</script></body></html>'
    )


def _overall(snapshot: Snapshot, ready: list[Readiness]) -> tuple[str, str]:
    troubled = sum(not each.is_ready for each in ready)
    if not ready:
        return "starting", "run"
    if troubled:
        return f"{troubled} of {len(ready)} not ready", "bad"
    if running := sum(source.progress is not None for source in snapshot.sources):
        return f"{running} syncing", "run"
    return "all in step", "ok"


def _source(source: SourceStanding, ready: Readiness, readers: Readers, snapshot: Snapshot) -> str:
    held = readers.held(source.ontology_id)
    word, colour = _state(source, ready, held)
    branch, commit = source.branch or held.branch, source.commit or held.commit
    where = [escaped(source.location)]
    where += [f"<code>{escaped(branch)}</code>"] if branch else []
    where += [f'<code title="{escaped(commit)}">{escaped(commit[:12])}</code>'] if commit else []
    return (
        f'<section><div class="top"><h2>{escaped(source.ontology_id)}</h2><span class="badge {colour}">{word}</span>'
        f'</div><p class="where">{" · ".join(where)}</p>'
        f"{_live(source.progress, snapshot) if source.progress else ''}"
        f"{_troubles(source, ready, held, readers.breakers(source.ontology_id), snapshot)}"
        f"{_figures(source, ready, held, snapshot)}{_passes(held.runs)}{_failures(held)}</section>"
    )


def _state(source: SourceStanding, ready: Readiness, held: Held) -> tuple[str, str]:
    if source.progress is not None:
        return "syncing", "run"
    if source.consecutive_failures:
        return "failing", "bad"
    if not ready.is_ready:
        return "not ready", "bad"
    if held.totals and held.totals.failed:
        return "in step, with failed files", "warn"
    return "in step", "ok"


def _live(progress: Progress, snapshot: Snapshot) -> str:
    took = span((snapshot.at - progress.since).total_seconds())
    if progress.planned is None:
        return (
            f'<div class="live"><p><span>Looking for changes: {escaped(progress.why)}</span>'
            f'<span class="soft">for {took}</span></p><progress aria-label="planning"></progress></div>'
        )
    told = f"<b>{number(progress.done)}</b> of {number(progress.planned)} files"
    told += f", {number(progress.failed)} failed" if progress.failed else ""
    pace = f"{number(progress.rate)} files/s" if progress.rate else "no pace yet"
    left = f" · {span(progress.seconds_left)} left" if progress.seconds_left is not None else ""
    return (
        f'<div class="live"><p><span>{told}</span><span class="soft">{pace}{left}</span></p>'
        f'<progress max="{max(progress.planned, 1)}" value="{progress.done}" aria-label="files done"></progress>'
        f'<p class="soft"><span>{escaped(progress.why)}</span><span>for {took}</span></p></div>'
    )


def _troubles(source: SourceStanding, ready: Readiness, held: Held, breakers: list[Breaker], snapshot: Snapshot) -> str:
    notes = []
    if held.problem:
        notes.append(("bad", "The database can't be read", held.problem))
    if source.last_failure and source.consecutive_failures:
        failure = source.last_failure
        times = f"{source.consecutive_failures} times in a row, last " if source.consecutive_failures > 1 else ""
        title = f"Failed {times}{ago(failure.at, snapshot.at)}"
        notes.append(("bad", title, f"{failure.reason} (exit code {int(failure.code)}, {failure.code.name.lower()})"))
    for each in breakers:
        if (state := each.state(timestamp(snapshot.at))) is not State.CLOSED:
            title = f"Breaker of the {each.guards} {state}, next try {each.retry_at}"
            notes.append(("warn", title, f"{each.failures} failed since {each.since}: {each.reason}"))
    if not ready.is_ready and not notes:
        notes.append(("warn", "Not ready", ready.reason))
    return "".join(f'<p class="note {colour}"><b>{escaped(a)}.</b> {escaped(b)}</p>' for colour, a, b in notes)


def _figures(source: SourceStanding, ready: Readiness, held: Held, snapshot: Snapshot) -> str:
    due = "running" if source.progress else ahead(source.next_due, snapshot.at)
    figures = [
        ("last in step", ago(ready.last_success, snapshot.at), "" if ready.is_ready else "bad"),
        ("next pass", due, ""),
    ]
    if held.rollout_percent is not None and held.rollout_percent < ALL:
        figures.append(("rollout", f"{held.rollout_percent:g} %", "warn"))
    if totals := held.totals:
        figures += [
            ("files", number(totals.files), ""),
            ("failed files", number(totals.failed), "warn" if totals.failed else ""),
            ("classes", number(totals.classes), ""),
            ("properties", number(totals.properties), ""),
            ("axioms", number(totals.axioms), ""),
        ]
    return "<dl>" + "".join(f'<div><dt>{a}</dt><dd class="{c}">{b}</dd></div>' for a, b, c in figures) + "</dl>"


def _passes(runs: tuple[LastRun, ...]) -> str:
    if not runs:
        return ""
    return (
        f'<h3>Recent passes</h3>{chart(runs)}<div class="scroll"><table><thead><tr><th>began</th><th>ended</th>'
        '<th class="n">files</th><th class="n">failed</th><th class="n">took</th><th class="hide">why so</th></tr>'
        f"</thead><tbody>{''.join(map(_run_row, runs[:PASSES]))}</tbody></table></div>"
    )


def _run_row(run: LastRun) -> str:
    why = run.error or run.plan_reason
    return (
        f'<tr><td class="w">{escaped(run.started_at[5:16].replace("T", " "))}</td>'
        f'<td class="w {colour_of(run)}">{escaped(run.status)}</td><td class="n">{number(done_of(run))}</td>'
        f'<td class="n">{number(run.failed)}</td><td class="n">{span(seconds_of(run))}</td>'
        f'<td class="any hide">{escaped(why)}</td></tr>'
    )


def _failures(held: Held) -> str:
    if not held.failures:
        return ""
    total = held.totals.failed if held.totals else len(held.failures)
    more = f", the first {FAILURES} of them" if total > len(held.failures) else ""
    return (
        f'<h3>Failed files: {number(total)}{more}</h3><div class="scroll"><table class="cards"><thead><tr><th>file</th>'
        '<th class="n">line</th><th>reason</th><th>next try</th></tr></thead><tbody>'
        f"{''.join(map(_failure_row, held.failures))}</tbody></table></div>"
    )


def _failure_row(entry: LedgerEntry) -> str:
    line = f"line {entry.line}" if entry.line else ""
    when = entry.next_attempt_at or "when it changes"
    kept = ", keeps its last good facts" if entry.is_stale else ""
    return (
        f'<tr><td class="any own"><code>{escaped(entry.path)}</code></td><td class="n">{line}</td>'
        f'<td class="any">{escaped(entry.reason)}</td><td class="soft">{escaped(when)}{kept}</td></tr>'
    )
