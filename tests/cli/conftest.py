"""What tests of the verbs share: a database with failures of all kinds."""

from __future__ import annotations

import pytest

from tests.cli.failing import NOT_UTF8, A, B, C, lose
from tests.cli.test_verbs import BROKEN, HALF
from tests.support import Daemon, Repo, class_page


@pytest.fixture
def failing(repo: Repo, daemon: Daemon) -> Daemon:
    """Good pages, one that broke later, one of a name that is no UTF-8, and one whose blob is lost."""
    repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B"), "half.md": HALF, "note.md": "- a note\n"})
    daemon.once(repo.path)
    repo.commit(
        {
            "B.md": BROKEN,
            NOT_UTF8: BROKEN.replace("Broken", "New"),
            "pages/lost.md": class_page(C, "C"),
            "x.bin": "no page",
        }
    )
    lose(repo, "pages/lost.md")
    daemon.once(repo.path, expect=3)
    return daemon
