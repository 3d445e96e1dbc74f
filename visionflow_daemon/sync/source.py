"""Where a pass's commits come from: finds the target, mends the clone that it is read from, keeps it small."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from visionflow_daemon.errors import DamageError, LostError, ObjectError
from visionflow_daemon.git import clone, damage, repository
from visionflow_daemon.git.credentials import Credentials, is_remote, redact
from visionflow_daemon.git.repository import Network, Target
from visionflow_daemon.storage import checkpoint, ledger, trouble
from visionflow_daemon.sync.breakers import Breakers
from visionflow_daemon.sync.job import Job, Services, selection
from visionflow_daemon.sync.retry import persistently
from visionflow_daemon.sync.run import Summary, run_pass

if TYPE_CHECKING:
    from visionflow_daemon.git.remote import Remote

log = structlog.get_logger()

FIRST_WAIT, LONGEST_WAIT = 0.5, 8.0
"""Seconds between attempts to go on with a pass whose database server is away: the delay doubles."""


@dataclass(frozen=True, slots=True)
class Source:
    """A repository and branch, and what it takes to get at them.

    `credentials` reads the secrets afresh each time; relative paths start at `base`; clones are under `state`.
    `follows_disk`: what is read is the work tree of a checkout on this machine, saved but not committed, too.
    """

    location: str
    branch: str | None
    base: Path
    state: Path
    credentials: Callable[[], Credentials]
    network: Network
    follows_disk: bool = False


def sync(source: Source, job: Job, services: Services) -> Summary:
    """Bring an ontology to its source's commit, if no circuit breaker is open.

    Raises OpenError where one is, what `run_pass` raises, and what `Remote.fetch` does.
    """
    breakers = Breakers(source.state, services.database.address.identity, job.ontology_id)
    breakers.try_pass(services.now())
    try:
        summary = _waiting(lambda: _sync_mending(source, job, services), services)
    except Exception as error:
        breakers.note(error, job.breaker, services.now())
        raise
    if summary.is_whole:
        for closed in breakers.close():
            log.info("breaker closed", breaker=closed.guards, failures=closed.failures, since=closed.since)
    return summary


def _waiting(attempt: Callable[[], Summary], services: Services) -> Summary:
    """Run a pass; where the database's server goes away under it, wait for it, and go on from what is saved."""
    waited, delay = 0.0, FIRST_WAIT
    while True:
        try:
            return attempt()
        except Exception as error:
            if not (trouble.is_lost(error) or isinstance(error, LostError)) or waited >= services.database.patience:
                raise
            log.warning("server away", database=services.database.name, reason=str(error), waits=delay)
            services.sleep(delay)
            waited, delay = waited + delay, min(2 * delay, LONGEST_WAIT)


def _sync_mending(source: Source, job: Job, services: Services) -> Summary:
    """Run a pass; a clone that proves to be damaged on the way is made anew."""
    if source.follows_disk:
        return _sync_disk(source, job, services)
    if not is_remote(source.location):
        return run_pass(job, services, lambda: repository.find_local(source.location, source.branch, source.base))
    place = clone.clone_path(source.state, source.location)
    try:
        summary = _sync_remote(source, job, services, anew=False)
    except DamageError as error:
        log.warning("clone damaged", clone=str(place), reason=str(error))
        summary = _sync_remote(source, job, services, anew=True)
    from visionflow_daemon.git.remote import keep_tidy  # noqa: PLC0415 - for remote sources alone

    if joined := keep_tidy(place, services.stop, lambda: services.fetches.place(source.location, services.stop)):
        log.info("packs joined", clone=str(place), packs=joined)
    return summary


def _sync_disk(source: Source, job: Job, services: Services) -> Summary:
    """Run a pass over the files on disk; a store of them that may be damaged is made anew."""
    from visionflow_daemon.git.worktree import overlay, store  # noqa: PLC0415 - for work trees alone

    limits = job.reading.limits
    checkout = overlay.Checkout(
        source.location,
        source.branch,
        source.base,
        store.store_path(source.state, services.database.address.identity, job.ontology_id),
        selection(job),
        max(limits.page_bytes, limits.rdf_bytes),
        services.sleep,
    )

    def once(*, anew: bool) -> Summary:
        with ExitStack() as held:
            return run_pass(job, services, lambda: held.enter_context(overlay.laid(checkout, anew=anew)))

    try:
        summary = once(anew=False)
    except DamageError as error:
        log.warning("store damaged", store=str(checkout.store), reason=str(error))
        summary = once(anew=True)
    if summary.run_id is not None and summary.is_whole:
        reached = checkpoint.load(services.database, job.ontology_id)
        trees = [reached.treeish] if reached is not None and reached.treeish is not None else []
        store.tidy(checkout.store, trees, ledger.saved_blobs(services.database, job.ontology_id))
    return summary


def _refuse_damaged(place: Path) -> None:
    """Raise DamageError for a clone that proves to be damaged: reading it may be what ended the last pass."""
    with suppress(OSError):  # what can't be read proves nothing
        if found := damage.proof(place):
            raise DamageError(f"the clone {place} is damaged: {found}")


def _sync_remote(source: Source, job: Job, services: Services, *, anew: bool) -> Summary:
    from visionflow_daemon.git.remote import Remote  # noqa: PLC0415 - for remote sources alone

    place = clone.clone_path(source.state, source.location)
    with ExitStack() as held:

        def find() -> Target:
            with services.fetches.place(source.location, services.stop):
                remote = held.enter_context(
                    Remote(
                        source.location,
                        source.branch,
                        source.state,
                        source.credentials(),
                        source.network,
                        services.stop,
                    )
                )
                target = persistently(lambda: _target(remote, held, anew=anew), services.sleep, services.meter.fetch)
            if not anew and checkpoint.was_cut_off(services.database, job.ontology_id):
                _refuse_damaged(remote.clone)
            return target

        try:
            return run_pass(job, services, find)
        except ObjectError:  # of a tree: what can't be read of a blob is looked into where it is read
            if not anew:
                _refuse_damaged(place)
            raise


def _target(remote: Remote, held: ExitStack, *, anew: bool) -> Target:
    """Fetch, and keep the clone as it is from then on until all that is held is let go."""
    fetched = remote.fetch(anew=anew)
    remote.close()
    if fetched.made_anew is not None:
        log.warning("clone made anew", clone=str(remote.clone), reason=fetched.made_anew)
    held.enter_context(clone.in_use(remote.clone))
    if not repository.has_commit(remote.clone, fetched.commit):
        raise ObjectError(f"commit {fetched.commit} of {redact(remote.url)} is not in its clone {remote.clone}")
    return Target(remote.clone, redact(remote.url), fetched.branch, fetched.commit, is_clone=True)
