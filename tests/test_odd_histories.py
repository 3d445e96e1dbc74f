"""Repositories whose history is not all there, or not the one that was synced before."""

from __future__ import annotations

from pathlib import Path

from tests.support import Daemon, Repo, class_page, git

A, B, C = "urn:t:a", "urn:t:b", "urn:t:c"


def assert_as_fresh(daemon: Daemon, source: Path) -> None:
    daemon.once(source, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")


def test_a_shallow_clone_whose_checkpoint_is_beyond_its_depth(repo: Repo, daemon: Daemon, tmp_path: Path) -> None:
    repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B")})
    daemon.once(repo.path)
    repo.commit({"A.md": class_page(A, "Again"), "B.md": None, "C.md": class_page(C, "C")})
    shallow = tmp_path / "shallow"
    git("clone", "--quiet", "--depth", "1", f"file://{repo.path}", str(shallow))
    finished = daemon.once(shallow, "--replace-source").event("pass finished")
    assert (finished["plan"], finished["saved"], finished["deleted"]) == ("tree", 2, 1)
    assert "is no longer in the repository" in finished["plan_reason"]
    assert_as_fresh(daemon, shallow)


def test_a_checkpoint_that_was_garbage_collected(repo: Repo, daemon: Daemon) -> None:
    first = repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B")})
    daemon.once(repo.path)
    git("update-ref", "-d", "refs/heads/main", cwd=repo.path)
    git("reflog", "expire", "--expire=now", "--all", cwd=repo.path)
    git("gc", "--quiet", "--prune=now", cwd=repo.path)
    blob = git("hash-object", "-w", "--stdin", cwd=repo.path, stdin=class_page(C, "C").encode())
    tree = git("mktree", cwd=repo.path, stdin=f"100644 blob {blob}\tC.md\n".encode())
    other = git("commit-tree", "-m", "unrelated", tree, cwd=repo.path)
    git("update-ref", "refs/heads/main", other, cwd=repo.path)
    assert first != other
    finished = daemon.once(repo.path).event("pass finished")
    assert (finished["plan"], finished["saved"], finished["deleted"]) == ("tree", 1, 2)
    assert_as_fresh(daemon, repo.path)


def test_a_rename_that_changes_case_alone(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"alpha.md": class_page(A, "A")})
    daemon.once(repo.path)
    repo.commit({"alpha.md": None, "Alpha.md": class_page(A, "A")})
    finished = daemon.once(repo.path).event("pass finished")
    assert (finished["saved"], finished["deleted"]) == (1, 1)
    assert_as_fresh(daemon, repo.path)


def test_a_merge_commit_brings_both_sides(repo: Repo, daemon: Daemon, tmp_path: Path) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    work = tmp_path / "work"
    git("clone", "--quiet", str(repo.path), str(work))
    git("checkout", "--quiet", "-b", "side", cwd=work)
    (work / "B.md").write_text(class_page(B, "B"))
    git("add", "-A", cwd=work)
    git("commit", "--quiet", "-m", "side", cwd=work)
    git("checkout", "--quiet", "main", cwd=work)
    (work / "C.md").write_text(class_page(C, "C"))
    git("add", "-A", cwd=work)
    git("commit", "--quiet", "-m", "main", cwd=work)
    daemon.once(work)
    git("merge", "--quiet", "--no-edit", "side", cwd=work)
    finished = daemon.once(work).event("pass finished")
    assert (finished["plan"], finished["saved"]) == ("diff", 1)
    assert_as_fresh(daemon, work)


def test_a_file_that_turns_into_a_folder_and_back(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"node.md": class_page(A, "A")})
    daemon.once(repo.path)
    repo.commit({"node.md": None, "node.md/B.md": class_page(B, "B")})
    daemon.once(repo.path)
    assert daemon.query("SELECT class_iri FROM owl_classes") == [(B,)]
    repo.commit({"node.md/B.md": None, "node.md": class_page(A, "A")})
    daemon.once(repo.path)
    assert_as_fresh(daemon, repo.path)
