"""Holds deletions that look like a mistake: an emptied folder, a wrong glob, another repository's branch.

A page that moved is no loss, whatever its new path: when deletions are looked at, all that came is saved already.
"""

from __future__ import annotations

from visionflow_daemon.errors import HeldError
from visionflow_daemon.storage.losses import lost_classes
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.plan import Plan

FEWEST = 20
"""Classes that may always go: in a small ontology, a few are a large share."""


def check(job: Job, services: Services, planned: Plan) -> None:
    """Look at the deletions of a plan. Raises HeldError when a larger share of the classes would go than may."""
    if job.mass_delete_share >= 1:
        return
    lost, declared = services.asked(lambda: lost_classes(services.database, job.ontology_id, planned.deletes))
    if lost > FEWEST and lost > job.mass_delete_share * declared:
        raise HeldError(
            f"held: with the {planned.to_delete:,} file(s) to delete, {lost:,} of {declared:,} classes would be "
            f"declared by no file ({lost / declared:.0%}; sync.mass_delete_share allows {job.mass_delete_share:.0%}). "
            "All else is saved. If that is meant, run once with --allow-mass-delete; else mend the repository or the "
            "globs"
        )
