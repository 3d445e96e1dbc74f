"""A clone that is damaged heals in the next pass; it is made anew on proof of damage, and for nothing else."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pygit2
import pytest

from tests.git.servers import fetched
from tests.support import Daemon, Ran, Repo, class_page, git
from visionflow_daemon.git import damage, packs
from visionflow_daemon.git.clone import clone_path, in_use
from visionflow_daemon.git.credentials import Credentials
from visionflow_daemon.git.fetching import Wanted, fetch_into, tidy
from visionflow_daemon.git.repository import Network

Harm = Callable[[Path], None]


def pages(numbers: range, letter: str) -> dict[bytes | str, str]:
    """Write pages that don't compress well: a pack of them is large enough to be damaged in its middle."""
    draw = random.Random(letter)  # noqa: S311 - the same each time
    return {f"{at}.md": class_page(f"urn:t:{at}", f"{letter}{at}", note=draw.randbytes(300).hex()) for at in numbers}


def one(clone: Path, pattern: str) -> Path:
    """Give the largest file of a pattern."""
    found = max(clone.glob(pattern), key=lambda path: path.stat().st_size)
    found.chmod(0o644)
    return found


def touch(*names: str) -> Harm:
    def harm(clone: Path) -> None:
        for name in names:
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes(b"")

    return harm


def cut(pattern: str, share: float) -> Harm:
    def harm(clone: Path) -> None:
        path = one(clone, pattern)
        os.truncate(path, int(path.stat().st_size * share))

    return harm


def flip(pattern: str) -> Harm:
    def harm(clone: Path) -> None:
        path = one(clone, pattern)
        content = bytearray(path.read_bytes())
        for at in range(len(content) // 3, 2 * len(content) // 3):
            content[at] ^= 0x55
        path.write_bytes(content)

    return harm


def delete(pattern: str) -> Harm:
    def harm(clone: Path) -> None:
        for path in [clone / pattern] if (clone / pattern).exists() else list(clone.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return harm


def become_another(clone: Path) -> None:
    other = Repo(clone.parent / "other.git")
    other.commit({"X.md": class_page("urn:t:x", "X"), "0.md": class_page("urn:t:0", "another")})
    shutil.rmtree(clone)
    other.path.rename(clone)


def flip_unseen(clone: Path) -> None:
    """Flip bits as a disk does: nothing but the content tells."""
    path = one(clone, "objects/pack/*.pack")
    before = path.stat()
    flip("objects/pack/*.pack")(clone)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def lose_a_tree(clone: Path) -> None:
    """Unpack all, and delete the object of one page: the commit is there, and not all that it leads to."""
    for pack in clone.glob("objects/pack/*.pack"):
        content = pack.read_bytes()
        pack.with_suffix(".idx").unlink()
        pack.unlink()
        git("unpack-objects", "-q", cwd=clone, stdin=content)
    (ref,) = clone.glob("refs/visionflow/*")
    blob = git("rev-parse", f"{ref.read_text().strip()}:3.md", cwd=clone)
    (clone / "objects" / blob[:2] / blob[2:]).unlink()


LITTER: dict[str, Harm] = {
    "stale locks": touch(
        "HEAD.lock", "config.lock", "packed-refs.lock", "shallow.lock", "refs/visionflow/0123456789abcdef.lock"
    ),
    "packs half written": touch("objects/pack/pack_git2_aaaaaa", "objects/pack/tmp_pack_x", "objects/12/tmp_obj_x"),
    "a clone half made": lambda clone: touch("HEAD")(clone.with_suffix(".new")),
    "an old clone half deleted": lambda clone: touch("HEAD", "objects/x")(clone.with_suffix(".old")),
    "a reference of no length": lambda clone: one(clone, "refs/visionflow/*").write_bytes(b""),
    "a reference of junk": lambda clone: one(clone, "refs/visionflow/*").write_bytes(b"\0" * 41),
    "a pack without its index": touch("objects/pack/pack-00.pack"),
    "a clone of another remote": become_another,
}
DAMAGE: dict[str, Harm] = {
    "HEAD of no length": touch("HEAD"),
    "HEAD missing": delete("HEAD"),
    "objects missing": delete("objects"),
    "references missing": delete("refs"),
    "a pack cut in half": cut("objects/pack/*.pack", 0.5),
    "a pack of no length": cut("objects/pack/*.pack", 0),
    "a pack with flipped bits": flip("objects/pack/*.pack"),
    "a pack missing": delete("objects/pack/*.pack"),
    "an index cut in half": cut("objects/pack/*.idx", 0.5),
    "an index with flipped bits": flip("objects/pack/*.idx"),
    "all packs missing": delete("objects/pack/*"),
    "an object missing": lose_a_tree,
    "a file in its place": lambda clone: (shutil.rmtree(clone), clone.write_text("x"))[0],
}


def survives(repo: Repo, daemon: Daemon, harm: Harm, *arguments: str) -> Ran:
    """Harm a clone between two passes; see that the second ends exact, and that nothing is left lying about."""
    state = daemon.folder / "state"
    daemon.environment["STATE_DIRECTORY"] = str(state)
    url = f"file://{repo.path}"
    repo.commit(pages(range(40), "P"))
    daemon.once(url)
    clone = clone_path(state, url)
    repo.commit(pages(range(10, 12), "Q") | {"5.md": None})
    harm(clone)
    ran = daemon.once(url, *arguments)
    assert ran.event("pass finished")["failed"] == 0
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")
    assert daemon.once(url).events[-1]["event"] == "nothing to do"
    assert damage.proof(clone, repo.tip()) is None
    assert {path.suffix for path in clone.parent.iterdir()} == {".git", ".lock", ".use"}
    return ran


def is_made_anew(ran: Ran) -> bool:
    return any(event["event"] == "clone made anew" for event in ran.events)


@pytest.mark.parametrize("name", LITTER)
def test_litter_in_a_clone_is_cleared_away(repo: Repo, daemon: Daemon, name: str) -> None:
    assert not is_made_anew(survives(repo, daemon, LITTER[name]))


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_clone_is_made_anew_when_it_is_read(repo: Repo, daemon: Daemon, name: str) -> None:
    ran = survives(repo, daemon, DAMAGE[name], "--full")
    assert is_made_anew(ran)
    assert "Traceback" not in ran.out


def test_a_clone_whose_disk_flips_bits_is_made_anew_by_the_next_pass_at_latest(repo: Repo, daemon: Daemon) -> None:
    """libgit2 may crash on what it then reads; a pass behind a crash looks at the clone first."""
    state = daemon.folder / "state"
    daemon.environment["STATE_DIRECTORY"] = str(state)
    url = f"file://{repo.path}"
    repo.commit(pages(range(40), "P"))
    daemon.once(url)
    flip_unseen(clone_path(state, url))
    arguments = ("--once", "--full", "--source", url, "--database", "kg.db")
    rans = [daemon.run(*arguments) for _ in range(2)]
    assert rans[0].code in {0, -signal.SIGSEGV, -signal.SIGBUS}
    assert rans[1].code == 0, rans[1].err
    assert [is_made_anew(ran) for ran in rans].count(True) == 1
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")


def test_a_damaged_clone_stays_while_the_remote_is_away(repo: Repo, daemon: Daemon) -> None:
    state = daemon.folder / "state"
    daemon.environment["STATE_DIRECTORY"] = str(state)
    url = f"file://{repo.path}"
    repo.commit(pages(range(40), "P"))
    daemon.once(url)
    before = daemon.dump_bytes()
    clone = clone_path(state, url)
    flip("objects/pack/*.pack")(clone)
    away = repo.path.with_name("away.git")
    repo.path.rename(away)
    daemon.once(url, "--full", expect=4)
    assert daemon.dump_bytes() == before
    assert clone.is_dir()
    away.rename(repo.path)
    daemon.once(url, "--full")
    assert daemon.dump_bytes() == before


def test_what_cannot_be_read_proves_no_damage(repo: Repo, tmp_path: Path) -> None:
    url = f"file://{repo.path}"
    commit = repo.commit(pages(range(4), "P"))
    fetched(url, None, tmp_path / "state")
    clone = clone_path(tmp_path / "state", url)
    assert damage.proof(clone, commit) is None
    pack = one(clone, "objects/pack/*.pack")
    pack.unlink()
    pack.mkdir()
    with pytest.raises(OSError, match="Is a directory"):
        damage.proof(clone, commit)


def commit_quickly(repository: pygit2.Repository, number: int) -> str:
    """Commit one changed page of fifty, without a process of git's."""
    parents = [] if repository.head_is_unborn else [repository.head.target]
    tree = repository.TreeBuilder(repository.head.peel(pygit2.Tree)) if parents else repository.TreeBuilder()
    tree.insert(f"{number % 50}.md", repository.create_blob(f"page {number}".encode()), pygit2.enums.FileMode.BLOB)
    who = pygit2.Signature("T", "t@example.org", 1_700_000_000 + number, 0)
    return str(repository.create_commit("refs/heads/main", who, who, "a commit", tree.write(), parents))


def fetch_many(repo: Repo, tmp_path: Path, count: int) -> None:
    """Fetch commit by commit; see that packs and open files stay few, and all objects readable."""
    source = pygit2.Repository(str(repo.path))
    clone = tmp_path / "clone.git"
    wanted = Wanted(f"file://{repo.path}", None, clone, Credentials(), Network())
    most = joined = 0
    open_files: list[int] = []
    for number in range(count):
        commit = commit_quickly(source, number)
        assert fetch_into(wanted).commit == commit
        joined += tidy(clone)
        most = max(most, len(packs.packs(clone)))
        open_files.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 - of this process, not of a folder
    assert most <= packs.MOST + 1
    assert max(open_files) <= open_files[0] + 2
    assert damage.proof(clone, commit) is None
    git("fsck", "--full", "--strict", "--no-dangling", cwd=clone)
    assert len(git("rev-list", commit, cwd=clone).splitlines()) == count
    held = sum(path.stat().st_size for path in clone.rglob("*") if path.is_file())
    git("repack", "-adq", cwd=clone)
    least = sum(path.stat().st_size for path in clone.rglob("*") if path.is_file())
    assert held < 3 * least + 100_000
    print(  # noqa: T201 - for who runs the deep form
        f"{count:,} fetches: at most {most} packs, {joined:,} joined, {held:,} bytes; git repack makes it {least:,}"
    )


def test_a_clone_of_many_fetches_has_few_packs(repo: Repo, tmp_path: Path) -> None:
    fetch_many(repo, tmp_path, 100)


@pytest.mark.deep
def test_a_clone_of_ten_thousand_fetches_has_few_packs(repo: Repo, tmp_path: Path) -> None:
    fetch_many(repo, tmp_path, 10_000)


def test_packs_are_joined_behind_a_pass(repo: Repo, daemon: Daemon) -> None:
    state = daemon.folder / "state"
    daemon.environment["STATE_DIRECTORY"] = str(state)
    url = f"file://{repo.path}"
    clone = clone_path(state, url)
    source = pygit2.Repository(str(repo.path))
    wanted = Wanted(url, None, clone, Credentials(), Network())
    for number in range(packs.MOST):
        commit_quickly(source, number)
        fetch_into(wanted)
    repo.commit(pages(range(5), "P"))
    with in_use(clone):  # while another pass reads the clone, it stays as it is
        daemon.once(url)
    assert len(packs.packs(clone)) == packs.MOST + 1
    repo.commit(pages(range(5), "Q"))
    ran = daemon.once(url)
    assert ran.event("packs joined")["packs"] > 10
    assert len(packs.packs(clone)) < 10
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")


def test_a_clone_that_has_outgrown_its_first_size_is_fetched_anew(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packs, "SLACK", 100_000)
    clone = tmp_path / "clone.git"
    wanted = Wanted(f"file://{repo.path}", None, clone, Credentials(), Network())
    sizes, reasons = [], []
    for number in range(40):  # each a force push of content that no other has
        repo.commit(pages(range(30), f"P{number}"), parent=None)
        reasons.append(fetch_into(wanted).made_anew)
        sizes.append(sum(pack.stat().st_size for pack in clone.glob("objects/pack/*.pack")))
    assert any(reasons)
    assert max(sizes) < 2 * sizes[0] + 100_000 + 2 * sizes[0]
