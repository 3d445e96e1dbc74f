"""The files on disk, laid over a commit: what git would hold if all were added; nothing of the checkout is touched."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pygit2
import pytest

from tests.faults.support import tmpfs
from tests.support import git
from visionflow_daemon.errors import DamageError, SourceError, StateError, StoppedError
from visionflow_daemon.git import changes
from visionflow_daemon.git.repository import Target
from visionflow_daemon.git.worktree import disk
from visionflow_daemon.git.worktree import store as stores
from visionflow_daemon.git.worktree.overlay import Checkout, laid

MANY = stores.FEW + 10


def write(tree: Path, name: str | bytes, content: str | bytes, *, age: float = 60.0) -> Path:
    """Write a file that was saved a while ago."""
    path = tree / os.fsdecode(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    settle(path, age)
    return path


def settle(path: Path, age: float = 60.0) -> None:
    """Let a file be one that was saved a while ago."""
    then = time.time() - age
    os.utime(path, (then, then))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with a commit of a few files."""
    path = tmp_path / "tree"
    git("init", "--quiet", "--initial-branch=main", str(path))
    for name in ("a.md", "b.md", "d/c.md", "d/e/f.md", "x.txt"):
        write(path, name, f"in the commit: {name}\n")
    git("add", "--all", cwd=path)
    git("commit", "--quiet", "-m", "first", cwd=path)
    return path


class Look:
    """Looks at a work tree, as passes do."""

    def __init__(self, tree: Path, **more: object) -> None:
        self.tree = tree
        self.waited: list[float] = []
        self.sleep: Callable[[float], None] = self.wait
        self.checkout = {"limit": 1_000, "branch": None, "store": tree.parent / "store.git", **more}

    def wait(self, seconds: float) -> None:
        """Note that it waits."""
        if seconds:
            self.waited.append(seconds)

    def __call__(self, *, anew: bool = False) -> Target:
        """Look once."""
        with laid(
            Checkout(
                location=str(self.tree),
                base=self.tree.parent,
                selects=changes.selection(("*.md",), ("out/",)),
                sleep=self.sleep,
                **self.checkout,  # type: ignore[arg-type]
            ),
            anew=anew,
        ) as target:
            return target

    def files(self) -> dict[bytes, bytes | str]:
        """Give what the target holds of the selected paths: contents, or reasons why there is none."""
        target = self()
        repository = pygit2.Repository(str(target.repository))
        found: dict[bytes, bytes | str] = {}
        for entry in changes.walk(repository, target.treeish, changes.selection(("*.md",), ("out/",))):
            if entry.blob in target.unread:
                found[entry.path] = target.unread[entry.blob]
            else:
                data = repository[entry.blob].read_raw()
                found[entry.path] = f"-> {data.decode()}" if entry.kind == "symlink" else data
        repository.free()
        return found


@pytest.fixture
def look(tree: Path) -> Look:
    """Looks at the checkout."""
    return Look(tree)


COMMITTED = {name.encode(): f"in the commit: {name}\n".encode() for name in ("a.md", "b.md", "d/c.md", "d/e/f.md")}


def test_where_nothing_differs_the_target_is_the_commit(look: Look, tree: Path) -> None:
    target = look()
    assert (target.overlay, target.commit) == (None, git("rev-parse", "HEAD", cwd=tree))
    assert (target.branch, target.source) == ("main", str(tree))
    assert look.files() == COMMITTED


def test_saved_changed_and_deleted_files_count_uncommitted(look: Look, tree: Path) -> None:
    write(tree, "a.md", "changed")
    write(tree, "new/deep/n.md", "new")
    write(tree, "out/no.md", "excluded")
    write(tree, "other.txt", "not selected")
    (tree / "x.txt").unlink()
    shutil.rmtree(tree / "d" / "e")
    expected = {**COMMITTED, b"a.md": b"changed", b"new/deep/n.md": b"new"}
    del expected[b"d/e/f.md"]
    assert look.files() == expected
    git("add", "--all", cwd=tree)
    git("reset", "--quiet", "--", "x.txt", "other.txt", "out", cwd=tree)
    assert look().overlay == git("write-tree", cwd=tree), "git itself would make the same tree of it"


def test_it_goes_back_to_the_commit_with_the_files(look: Look, tree: Path) -> None:
    write(tree, "a.md", "changed")
    assert look().overlay is not None
    git("checkout", "--quiet", "a.md", cwd=tree)
    settle(tree / "a.md")
    assert look().overlay is None


def test_a_commit_of_what_is_on_disk_has_the_same_tree(look: Look, tree: Path) -> None:
    write(tree, "a.md", "changed")
    overlay = look().overlay
    git("commit", "--quiet", "--all", "-m", "second", cwd=tree)
    assert look().overlay is None
    assert git("rev-parse", "HEAD^{tree}", cwd=tree) == overlay


def test_what_git_ignores_is_left_out_unless_it_is_tracked(look: Look, tree: Path) -> None:
    write(tree, ".gitignore", "*.tmp.md\nbuild/\n/b.md\n")
    write(tree, "d/.gitignore", "local.md\n!keep.tmp.md\n")
    write(tree, ".git/info/exclude", "mine.md\n")
    for name in ("z.tmp.md", "build/z.md", "mine.md", "d/local.md"):
        write(tree, name, "ignored")
    write(tree, "d/keep.tmp.md", "kept")
    write(tree, "b.md", "tracked, though its name is ignored")
    assert look.files() == {
        **COMMITTED,
        b"b.md": b"tracked, though its name is ignored",
        b"d/keep.tmp.md": b"kept",
    }


def test_line_ends_are_those_that_git_would_store(look: Look, tree: Path) -> None:
    write(tree, ".gitattributes", "*.md text=auto\n")
    write(tree, "a.md", "in the commit: a.md\r\n")
    write(tree, "n.md", "one\r\ntwo\r\n")
    assert look.files() == {**COMMITTED, b"n.md": b"one\ntwo\n"}


def test_names_of_any_bytes(look: Look, tree: Path) -> None:
    names = [b"\xff\xfe.md", "Ω/Ω.md".encode(), b"d\xff/a b'\"\\\t.md", b"-n.md", b"d.md/x.md", b"d-.md"]
    for name in names:
        write(tree, name, name)
    assert look.files() == {**COMMITTED, **{name: name for name in names}}
    git("add", "--all", cwd=tree)
    assert look().overlay == git("write-tree", cwd=tree)


def test_links_are_kept_as_links_and_never_followed(look: Look, tree: Path, tmp_path: Path) -> None:
    write(tmp_path, "secret/s.md", "outside")
    (tree / "link.md").symlink_to("../secret/s.md")
    (tree / "folder").symlink_to(tmp_path / "secret")
    (tree / "d" / "e" / "f.md").unlink()
    (tree / "d" / "e").rmdir()
    (tree / "d" / "e").symlink_to(tmp_path / "secret")
    expected = {**COMMITTED, b"link.md": "-> ../secret/s.md"}
    del expected[b"d/e/f.md"]
    assert look.files() == expected


def test_pipes_sockets_and_devices_are_no_files(look: Look, tree: Path) -> None:
    os.mkfifo(tree / "pipe.md")
    (tree / "a.md").unlink()
    os.mkfifo(tree / "a.md")
    expected = dict(COMMITTED)
    del expected[b"a.md"]
    assert look.files() == expected


def test_other_repositories_within_are_not_looked_into(look: Look, tree: Path) -> None:
    git("init", "--quiet", str(tree / "inner"))
    write(tree, "inner/i.md", "another's")
    assert look.files() == COMMITTED


def test_submodules_stay_as_the_commit_has_them(look: Look, tree: Path) -> None:
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},sub", cwd=tree)
    git("commit", "--quiet", "-m", "a submodule", cwd=tree)
    assert look().overlay is None
    write(tree, "sub/.git", "gitdir: elsewhere\n")
    write(tree, "sub/s.md", "another's")
    assert look().overlay is None


def test_a_file_over_the_limit_has_a_reason_in_its_place(look: Look, tree: Path) -> None:
    write(tree, "a.md", "x" * 1_001)
    write(tree, "b.md", "x" * 1_000)
    assert look.files() == {
        **COMMITTED,
        b"a.md": "the file has 1,001 bytes, the limit is 1,000",
        b"b.md": b"x" * 1_000,
    }


@contextmanager
def somebody_else() -> Iterator[None]:
    """Be a user who may read only what everybody may."""
    if os.geteuid() == 0:
        os.seteuid(65_534)
        try:
            yield
        finally:
            os.seteuid(0)
    else:
        yield


@contextmanager
def home_of_nobody(place: str) -> Iterator[None]:
    """Let libgit2 look for its configuration where everybody may: it began in the home of who runs the tests."""
    paths = pygit2.settings.search_path
    levels = (pygit2.enums.ConfigLevel.GLOBAL, pygit2.enums.ConfigLevel.XDG)
    before = [paths[level] for level in levels]
    for level in levels:
        paths[level] = place
    try:
        yield
    finally:
        for level, path in zip(levels, before, strict=True):
            paths[level] = path


def test_a_file_that_can_t_be_read_has_a_reason_and_is_not_gone(tree: Path) -> None:
    with tempfile.TemporaryDirectory() as place:  # where others can go, unlike the tests' own folder
        shutil.copytree(tree, Path(place) / "tree")
        for path in [Path(place), *Path(place).rglob("*")]:
            shutil.chown(path, 65_534 if os.geteuid() == 0 else os.geteuid())
        look = Look(Path(place) / "tree")
        with somebody_else(), home_of_nobody(place):
            assert look.files() == COMMITTED
            (look.tree / "a.md").chmod(0)
            (look.tree / "d").chmod(0)
            assert look.files() == {**COMMITTED, b"a.md": "it can't be read on disk: Permission denied"}
            (look.tree / "d").chmod(0o700)


def test_a_file_that_is_being_written_is_waited_for(look: Look, tree: Path) -> None:
    path = write(tree, "a.md", "half", age=0)

    def finish(seconds: float) -> None:
        look.wait(seconds)
        if seconds:
            write(tree, "a.md", "half and half")

    look.sleep = finish
    assert look.files()[b"a.md"] == b"half and half"
    assert 0 < sum(look.waited) <= 2 * disk.SETTLED
    assert path.exists()


def test_a_file_that_is_written_without_end_is_left_as_it_was(look: Look, tree: Path) -> None:
    write(tree, "n.md", "first")
    assert look.files()[b"n.md"] == b"first"
    write(tree, "n.md", "more", age=0)
    write(tree, "o.md", "more", age=0)
    write(tree, "b.md", "more", age=0)

    def go_on(seconds: float) -> None:
        look.wait(seconds)
        for name in ("n.md", "o.md", "b.md"):
            write(tree, name, f"more {len(look.waited)}", age=0)

    look.sleep = go_on
    found = look.files()
    assert found == {**COMMITTED, b"n.md": b"first"}
    assert disk.PATIENCE <= sum(look.waited) <= disk.PATIENCE + disk.SETTLED


def test_a_look_ends_when_it_is_told_to(look: Look, tree: Path) -> None:
    def stop(_: float) -> None:
        raise StoppedError("enough")

    look.sleep = stop
    with pytest.raises(StoppedError):
        look()
    look.sleep = look.wait
    write(tree, "n.md", "new")
    assert look.files()[b"n.md"] == b"new"


def test_a_time_to_come_keeps_nobody_waiting(look: Look, tree: Path) -> None:
    write(tree, "a.md", "from tomorrow", age=-86_400)
    assert look.files()[b"a.md"] == b"from tomorrow"
    assert not look.waited


def test_git_at_work_is_waited_for_but_not_a_lock_left_behind(look: Look, tree: Path) -> None:
    lock = write(tree, ".git/index.lock", "", age=0)

    def finish(seconds: float) -> None:
        look.wait(seconds)
        with suppress(FileNotFoundError):
            lock.unlink()

    look.sleep = finish
    look()
    assert len(look.waited) == 1
    write(tree, ".git/index.lock", "", age=60)
    look()
    assert len(look.waited) == 1


def test_an_unchanged_file_is_read_once(look: Look, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tree, "n.md", "new")
    look()
    reads: list[bytes] = []
    read = disk.read
    monkeypatch.setattr(disk, "read", lambda name, *more: reads.append(name) or read(name, *more))
    look()
    assert reads == [] or not _stamps_tell(tree)
    write(tree, "n.md", "newer", age=50)
    assert look.files()[b"n.md"] == b"newer"
    assert b"n.md" in reads


def _stamps_tell(tree: Path) -> bool:
    """Tell whether the records of the files changed long enough ago; a test is faster than that."""
    return time.time() - (tree / "a.md").stat().st_ctime > disk.TRUSTED


def test_a_change_that_keeps_size_and_time_is_seen(look: Look, tree: Path) -> None:
    write(tree, "n.md", "one")
    assert look.files()[b"n.md"] == b"one"
    before = (tree / "n.md").stat()
    (tree / "n.md").write_text("two")
    os.utime(tree / "n.md", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look.files()[b"n.md"] == b"two"


def test_nothing_of_the_checkout_is_touched(look: Look, tree: Path) -> None:
    write(tree, "a.md", "changed")
    git("add", "a.md", cwd=tree)  # its blob is in the checkout, too, and no commit keeps it there

    def state() -> list[tuple[str, int, int]]:
        return sorted((str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in tree.rglob("*"))

    before = state()
    overlay = look().overlay
    assert state() == before
    git("reset", "--quiet", "--hard", cwd=tree)
    git("-c", "gc.pruneExpire=now", "gc", "--quiet", "--prune=now", cwd=tree)
    repository = pygit2.Repository(str(tree.parent / "store.git"))
    entry = changes.find(repository, overlay or "", b"a.md")
    assert entry is not None
    assert repository[entry.blob].read_raw() == b"changed"


def test_the_branch_has_to_be_the_one_that_is_checked_out(tree: Path) -> None:
    git("branch", "other", cwd=tree)
    assert Look(tree, branch="main")().branch == "main"
    with pytest.raises(SourceError, match="is on main, not on other"):
        Look(tree, branch="other")()


def test_a_linked_worktree(tree: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git("worktree", "add", "--quiet", "-b", "side", str(linked), cwd=tree)
    write(linked, "n.md", "in the linked one")
    look = Look(linked)
    assert look().branch == "side"
    assert look.files() == {**COMMITTED, b"n.md": b"in the linked one"}


def test_a_bare_or_sparse_or_empty_repository_is_refused_in_words(tree: Path, tmp_path: Path) -> None:
    git("clone", "--quiet", "--bare", str(tree), str(tmp_path / "bare.git"))
    with pytest.raises(SourceError, match="is bare"):
        Look(tmp_path / "bare.git")()
    git("init", "--quiet", str(tmp_path / "empty"))
    with pytest.raises(SourceError, match="no commit yet"):
        Look(tmp_path / "empty")()
    git("sparse-checkout", "set", "d", cwd=tree)
    with pytest.raises(SourceError, match="is sparse"):
        Look(tree)()


def test_a_work_tree_without_anything_is_no_work_tree(tree: Path, tmp_path: Path) -> None:
    git("clone", "--quiet", "--bare", str(tree), str(tmp_path / "apart.git"))
    (tmp_path / "mounted").mkdir()
    git("config", "core.bare", "false", cwd=tmp_path / "apart.git")
    git("config", "core.worktree", str(tmp_path / "mounted"), cwd=tmp_path / "apart.git")
    look = Look(tmp_path / "apart.git")
    with pytest.raises(SourceError, match="is its file system mounted"):
        look()
    write(tmp_path / "mounted", "b.md", "there again")
    assert look.files() == {b"b.md": b"there again"}


def test_a_state_directory_that_is_full_is_told(tree: Path, tmp_path: Path) -> None:
    with tmpfs(tmp_path / "small", "64k") as small:
        (small / "fill").write_bytes(b"x" * 45_000)
        look = Look(tree, store=small / "store.git")
        for number in range(20):
            write(tree, f"n{number}.md", os.urandom(900))
        with pytest.raises(StateError, match=r"space|can't"):
            look()
        (small / "fill").write_bytes(b"")
        look.checkout["store"] = tmp_path / "store.git"
        assert len(look.files()) == 24


@pytest.mark.parametrize("damage", ["empty blob", "no repository", "bad note"])
def test_a_damaged_store_is_told_and_made_anew(look: Look, tree: Path, damage: str) -> None:
    write(tree, "n.md", "new")
    before = look()
    store = tree.parent / "store.git"
    if damage == "empty blob":
        for path in (store / "objects").glob("[0-9a-f][0-9a-f]/*"):
            path.chmod(0o600)
            path.write_bytes(b"")
    elif damage == "no repository":
        (store / "HEAD").unlink()
    else:
        (store / stores.NOTE).write_text('{"tree": 7, "stamps": {"n.md": [1]}}')
    if damage != "bad note":
        with pytest.raises(DamageError):
            look()
    assert look(anew=damage != "bad note") == before
    assert look() == before


def test_the_store_stays_small(look: Look, tree: Path) -> None:
    write(tree, "n.md", "kept by the ledger")
    kept = look().overlay
    repository = pygit2.Repository(str(tree.parent / "store.git"))
    blob = changes.find(repository, kept or "", b"n.md")
    assert blob is not None
    for number in range(MANY // 2):
        write(tree, "n.md", f"version {number}")
        last = look()
    store = tree.parent / "store.git"
    assert len(list((store / "objects").glob("[0-9a-f][0-9a-f]/*"))) > stores.FEW
    assert stores.tidy(store, [last.treeish], [blob.blob]) == 0, "what is young stays"
    later = time.time() + 2 * stores.YOUNG
    with stores.clone.in_use(store):
        assert stores.tidy(store, [last.treeish], [blob.blob], later) == 0, "somebody reads it"
    assert stores.tidy(store, [last.treeish], [blob.blob], later) >= MANY - 10
    left = pygit2.Repository(str(store))
    assert {path.parent.name + path.name for path in (store / "objects").glob("[0-9a-f][0-9a-f]/*")} == {
        last.overlay,
        blob.blob,
        str(changes.find(left, last.treeish, b"n.md").blob),  # type: ignore[union-attr]
    }
    assert look() == last
