"""Draws the status page: how each source stands, what goes on, and what failed."""

from __future__ import annotations

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.git.rollout import ALL
from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.chart import chart, colour_of, done_of, seconds_of
from visionflow_daemon.ops.health import Readiness, readiness
from visionflow_daemon.ops.overview import Tile, besides, is_first, overall, overview, state_of
from visionflow_daemon.ops.readers import FAILURES, Held, Readers
from visionflow_daemon.ops.standing import Head, Progress, Snapshot, SourceStanding
from visionflow_daemon.ops.style import POLICY, SCRIPT, STYLE, icon
from visionflow_daemon.ops.words import ago, ahead, at, clock, escaped, minute, number, span
from visionflow_daemon.storage.checkpoint import LastRun
from visionflow_daemon.storage.ledger import LedgerEntry
from visionflow_daemon.sync.breaker import Breaker, State

__all__ = ["POLICY", "render"]

PASSES = 10
"""Passes in the table; the chart shows more."""

FEW = 2
"""Sources whose tables of passes are unfolded; with more, the page would be long before it is full."""


def render(snapshot: Snapshot, readers: Readers, ready_intervals: float, version: str) -> str:
    """Draw the whole page."""
    ready = readiness(snapshot, readers, ready_intervals)
    tiles, sections = [], []
    for place, (source, each) in enumerate(zip(snapshot.sources, ready, strict=True)):
        held = readers.held(source.ontology_id)
        failed = held.totals.failed if held.totals else 0
        tile = Tile(source, state_of(source, each, held), each, failed, f"source-{place}")
        tiles.append(tile)
        sections.append(_source(tile, held, readers.breakers(source.ontology_id), snapshot))
    whole = overall(tiles)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="{icon(whole.colour)}">'
        f"<title>{whole.word} · visionflow-daemon</title><style>{STYLE}</style>"
        '<noscript><meta http-equiv="refresh" content="5"></noscript></head><body>'
        '<p id="lost" class="note bad" role="status"><b>No answer.</b> The figures are old; the page keeps asking.</p>'
        f'<main><header><h1>visionflow-daemon</h1><span class="badge {whole.colour}" role="status">{whole.word}</span>'
        f'<span class="soft">{clock(snapshot.at)}, up {span((snapshot.at - snapshot.started_at).total_seconds())}'
        f"</span></header>{overview(tiles, snapshot)}"
        f"{''.join(sections) or '<section><p>No source is known yet.</p></section>'}"
        f"{besides(snapshot, readers)}</main>"
        f'<footer>Version {escaped(version)} · <a href="status">status</a> · <a href="metrics">metrics</a> · '
        f'<a href="readyz">readyz</a></footer><script>{SCRIPT}</script></body></html>'
    )


def _source(tile: Tile, held: Held, breakers: list[Breaker], snapshot: Snapshot) -> str:
    """Draw a source. Its parts are always there, if empty: renewing the page leaves each in its place."""
    source, ready = tile.source, tile.ready
    branch, commit = source.branch or held.branch, source.commit or held.commit
    where = [escaped(source.location)]
    where += [f"<code>{escaped(branch)}</code>"] if branch else []
    where += [f'<code title="{escaped(commit)}">{escaped(commit[:12])}</code>'] if commit else []
    where += ["with files on disk that are not committed"] if held.overlay else []
    if source.head and source.head.lag_seconds:
        where.append(f'head <code title="{escaped(source.head.commit)}">{escaped(source.head.commit[:12])}</code>')
    is_open = len(snapshot.sources) <= FEW
    return (
        f'<section id="{tile.anchor}" aria-labelledby="{tile.anchor}-name"><div class="top">'
        f'<h2 id="{tile.anchor}-name">{escaped(source.ontology_id)}</h2>'
        f'<span class="badge {tile.state.colour}">{tile.state.word}</span>'
        f'</div><p class="where">{" · ".join(where)}</p>'
        f"<div>{_live(source.progress, snapshot) if source.progress else ''}</div>"
        f"<div>{_troubles(source, ready, held, breakers, snapshot)}</div>"
        f"{_figures(source, ready, held, snapshot)}<div>{_failures(held, snapshot)}</div>"
        f"<div>{_passes(held.runs, is_open=is_open)}</div></section>"
    )


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
        f'<p class="soft"><span>why: {escaped(progress.why)}</span><span>for {took}</span></p></div>'
    )


def _troubles(source: SourceStanding, ready: Readiness, held: Held, breakers: list[Breaker], snapshot: Snapshot) -> str:
    notes = []
    if held.problem:
        notes.append(("bad", "The database can't be read", held.problem))
    now = timestamp(snapshot.at)
    waiting = [each for each in breakers if each.state(now) is not State.CLOSED]
    failure = source.last_failure if source.consecutive_failures else None
    if failure and failure.reason not in {each.reason for each in waiting}:
        times = f"{source.consecutive_failures} times in a row, last " if source.consecutive_failures > 1 else ""
        is_held = failure.code is ExitCode.HELD
        title = f"{'Held' if is_held else 'Failed'} {times}{ago(failure.at, snapshot.at)}"
        told = f"{failure.reason} (exit code {int(failure.code)}, {failure.code.name.lower()})"
        notes.append(("warn" if is_held else "bad", title, told))
    for each in waiting:
        title = f"Breaker of the {each.guards} {each.state(now)}, next try {at(each.retry_at, snapshot.at)}"
        notes.append(("bad", title, f"{each.failures} failed in a row since {minute(each.since)}: {each.reason}"))
    if not ready.is_ready and not notes and not is_first(source, ready):
        notes.append(("warn", "Not ready", ready.reason))
    return "".join(f'<p class="note {colour}"><b>{escaped(a)}.</b> {escaped(b)}</p>' for colour, a, b in notes)


def _figures(source: SourceStanding, ready: Readiness, held: Held, snapshot: Snapshot) -> str:
    due = "running" if source.progress else ahead(source.next_due, snapshot.at)
    is_fine = ready.is_ready or is_first(source, ready)
    figures = [
        ("last in step", ago(ready.last_success, snapshot.at), "" if is_fine else "bad"),
        ("next pass", due, ""),
        ("behind the head", *_lag(source.head)),
    ]
    if held.lease is not None:
        holder = "this daemon" if held.lease.is_ours else escaped(held.lease.holder)
        figures.append((f"held since {minute(held.lease.since)}", holder, ""))
    if held.daemons is not None:
        figures.append(("daemons that could", number(len(held.daemons)), "" if held.daemons else "warn"))
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


def _lag(head: Head | None) -> tuple[str, str]:
    if head is None:
        return "unknown", ""
    return (f"for {span(head.lag_seconds)}", "warn") if head.lag_seconds else ("no", "")


def _passes(runs: tuple[LastRun, ...], *, is_open: bool) -> str:
    if not runs:
        return ""
    count = len(runs[:PASSES])
    return (
        f"<h3>Recent passes</h3>{chart(runs)}<details{' open' if is_open else ''}><summary>The last "
        f"{f'{count} passes' if count > 1 else 'pass'}</summary>"
        '<div class="scroll"><table><thead><tr><th scope="col">began, UTC</th><th scope="col">outcome</th>'
        '<th scope="col" class="n">files</th><th scope="col" class="n">failed</th><th scope="col" class="n">took</th>'
        f'<th scope="col" class="hide">why so</th></tr></thead><tbody>{"".join(map(_run_row, runs[:PASSES]))}'
        "</tbody></table></div></details>"
    )


def _run_row(run: LastRun) -> str:
    why = run.error or run.plan_reason
    failed = ' class="n warn"' if run.failed else ' class="n"'
    return (
        f'<tr><td class="w">{escaped(minute(run.started_at))}</td>'
        f'<td class="{colour_of(run)}">{escaped(run.status)}</td><td class="n">{number(done_of(run))}</td>'
        f'<td{failed}>{number(run.failed)}</td><td class="n">{span(seconds_of(run))}</td>'
        f'<td class="any hide">{escaped(why)}</td></tr>'
    )


def _failures(held: Held, snapshot: Snapshot) -> str:
    if not held.failures:
        return ""
    total = held.totals.failed if held.totals else len(held.failures)
    more = f", the first {FAILURES} of them" if total > len(held.failures) else ""
    rows = "".join(_failure_row(each, snapshot) for each in held.failures)
    return (
        f'<h3>Failed files: {number(total)}{more}</h3><div class="scroll"><table class="cards"><thead><tr>'
        '<th scope="col">file</th><th scope="col" class="n">line</th><th scope="col">reason</th>'
        f'<th scope="col">next try</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _failure_row(entry: LedgerEntry, snapshot: Snapshot) -> str:
    line = f'<span class="narrow">line </span>{entry.line}' if entry.line else ""
    when = escaped(at(entry.next_attempt_at, snapshot.at)) if entry.next_attempt_at else "when it changes"
    kept = '<br><span class="small">keeps its last good facts</span>' if entry.is_stale else ""
    return (
        f'<tr><td class="any own"><code>{escaped(entry.path)}</code></td><td class="n">{line}</td>'
        f'<td class="any">{escaped(entry.reason)}</td>'
        f'<td class="soft next"><span class="narrow">next try </span>{when}{kept}</td></tr>'
    )
