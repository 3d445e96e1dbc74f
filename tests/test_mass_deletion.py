"""Deletions that look like a mistake are held: all else is saved, and the operator or another commit releases them."""

from __future__ import annotations

import pytest

from tests.support import Daemon, Repo, class_page

COUNT = 60


def pages(numbers: range, folder: str = "") -> dict[bytes | str, str | None]:
    return {f"{folder}p{number:03}.md": class_page(f"urn:t:{number}", f"Page {number}") for number in numbers}


def gone(numbers: range, folder: str = "") -> dict[bytes | str, str | None]:
    return dict.fromkeys(pages(numbers, folder))


def declared(daemon: Daemon) -> int:
    return daemon.query("SELECT COUNT(*) FROM owl_classes WHERE is_declared = 1")[0][0]


def last_status(daemon: Daemon) -> str:
    return daemon.query("SELECT status FROM sync_runs ORDER BY started_at DESC, run_id DESC LIMIT 1")[0][0]


@pytest.fixture
def synced(repo: Repo, daemon: Daemon) -> Daemon:
    repo.commit(pages(range(COUNT)))
    daemon.once(repo.path)
    return daemon


def test_deletions_of_most_classes_are_held_and_all_else_is_saved(repo: Repo, synced: Daemon) -> None:
    before = synced.query("SELECT commit_sha FROM checkpoints")
    new = class_page("urn:t:new", "New")
    repo.commit({**gone(range(10, COUNT)), "new.md": new, "p000.md": class_page("urn:t:0", "Renamed")})
    ran = synced.once(repo.path, expect=5)
    assert "held: with the 50 file(s) to delete, 50 of 61 classes would be declared by no file (82%" in ran.err
    assert '"event":"pass held"' in ran.out
    assert "--allow-mass-delete" in ran.err
    assert declared(synced) == COUNT + 1
    assert synced.query("SELECT label FROM owl_classes WHERE class_iri = 'urn:t:0'") == [("Renamed",)]
    assert synced.query("SELECT commit_sha FROM checkpoints") == before
    assert last_status(synced) == "held"
    assert "held" in synced.run("status", "--database", "kg.db").out
    assert synced.once(repo.path, expect=5).code == 5


def test_the_operator_releases_them(repo: Repo, synced: Daemon) -> None:
    repo.commit(gone(range(10, COUNT)))
    synced.once(repo.path, expect=5)
    synced.once(repo.path, "--allow-mass-delete")
    assert declared(synced) == 10
    assert last_status(synced) == "finished"
    lived = synced.dump_bytes()
    synced.once(repo.path, database="fresh.db")
    assert synced.dump_bytes("fresh.db") == lived


def test_another_commit_that_brings_the_files_back_releases_them(repo: Repo, synced: Daemon) -> None:
    repo.commit(gone(range(10, COUNT)))
    synced.once(repo.path, expect=5)
    repo.commit(pages(range(15, COUNT)))
    synced.once(repo.path)
    assert declared(synced) == COUNT - 5
    lived = synced.dump_bytes()
    synced.once(repo.path, database="fresh.db")
    assert synced.dump_bytes("fresh.db") == lived


def test_pages_that_move_are_no_loss(repo: Repo, synced: Daemon) -> None:
    repo.commit({**gone(range(COUNT)), **pages(range(COUNT), "moved/")})
    synced.once(repo.path)
    assert declared(synced) == COUNT
    assert synced.query("SELECT COUNT(*) FROM source_files") == [(COUNT,)]


def test_a_wrong_glob_is_held_too(repo: Repo, synced: Daemon) -> None:
    synced.once(repo.path, "--include", "ontologie/*.md", expect=5)
    assert declared(synced) == COUNT


def test_one_file_that_declares_most_classes_counts_by_its_classes(repo: Repo, daemon: Daemon) -> None:
    many = "".join(f"<urn:t:{number}> a owl:Class .\n" for number in range(COUNT))
    repo.commit({"all.ttl": f"@prefix owl: <http://www.w3.org/2002/07/owl#> .\n{many}", **pages(range(5))})
    daemon.once(repo.path)
    repo.commit({"all.ttl": None})
    ran = daemon.once(repo.path, expect=5)
    assert "with the 1 file(s) to delete, 55 of 60 classes" in ran.err


@pytest.mark.parametrize(("lost", "code"), [(20, 0), (21, 5)])
def test_a_few_classes_may_always_go(repo: Repo, daemon: Daemon, lost: int, code: int) -> None:
    repo.commit(pages(range(lost + 2)))
    daemon.once(repo.path)
    repo.commit(gone(range(lost)))
    daemon.once(repo.path, expect=code)


def test_the_share_is_a_setting(repo: Repo, synced: Daemon) -> None:
    repo.commit(gone(range(30)))
    synced.environment["VISIONFLOW_SYNC__MASS_DELETE_SHARE"] = "0.6"
    synced.once(repo.path)
    assert declared(synced) == 30
    synced.environment["VISIONFLOW_SYNC__MASS_DELETE_SHARE"] = "1.5"
    assert "sync.mass_delete_share" in synced.once(repo.path, expect=2).err


def test_another_source_replaces_what_it_is_told_to_replace(repo: Repo, synced: Daemon) -> None:
    other = Repo(repo.path.parent / "other.git")
    other.commit(pages(range(100, 103)))
    synced.once(other.path, "--replace-source")
    assert declared(synced) == 3
