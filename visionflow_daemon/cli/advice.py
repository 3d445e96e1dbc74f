"""What to do about a file: one sentence by its status, its failure's class and the reason."""

from __future__ import annotations

import re

from visionflow_daemon.storage.files import FileRecord
from visionflow_daemon.sync.retry import FailureClass

NOT_KNOWN = "not known"
"""The status of a file that is in the repository, and in no table."""

BY_STATUS = {
    NOT_KNOWN: "check --include and --exclude: the synced commit holds the file, but no pass has taken it up",
    "saved": "nothing: the database holds what this content says",
    "skipped": "nothing, if it is to be no ontology; else see with `visionflow-daemon parse FILE` what is read in it",
}
TRANSIENT = "nothing: it is tried again by itself; `visionflow-daemon retry` lets the next pass do so at once"
MEMORY = (
    "make the page smaller, or let one take more memory (reading.apart.memory_bytes, and the limits of the service): "
    "it is tried again by itself"
)
MEND = "mend the page and commit it; `visionflow-daemon parse FILE` shows what it yields"
BY_REASON = (
    (
        "this is a git-lfs pointer",
        "commit the page itself in place of the pointer (`git lfs migrate export`), or leave it out with --exclude",
    ),
    (
        "the parser crashes on it",
        "report it with the page: the fault is this program's; leave the page out with --exclude until it is mended",
    ),
    (
        "internal error",
        "report it with the page: the fault is this program's; `visionflow-daemon retry` tries again with a newer one",
    ),
    (
        r"the file has [\d,]+ bytes|more than [\d,]+ statements|nested deeper than|reading it takes longer",
        "make the page smaller, or raise the limit in `limits` of its source, [reading.limits] or [reading.apart]",
    ),
    ("not UTF-8|binary content", "save the page as UTF-8 text and commit it, or leave it out with --exclude"),
    (
        "an @import of a remote context|the remote context",
        "write the terms of the context into the file and commit it: nothing that a page names is ever fetched",
    ),
)
"""How a reason of class page begins, and what helps; all other pages are to be mended."""


def advice(record: FileRecord) -> str:
    """Say what to do about a file."""
    if record.status in BY_STATUS:
        return BY_STATUS[record.status]
    if record.failure_class == FailureClass.TRANSIENT:
        return MEMORY if re.search(r"\bmemory\b", record.reason or "") else TRANSIENT
    return next((what for begin, what in BY_REASON if re.match(begin, record.reason or "")), MEND)
