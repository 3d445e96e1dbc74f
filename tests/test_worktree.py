"""Files on disk, followed: what is saved in a checkout is in the database, exactly, before it is committed."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import engines
from tests.support import Daemon, Running, class_page, eventually, git
from visionflow_daemon.formats.choose import read_page, reading_digest
from visionflow_daemon.git import changes
from visionflow_daemon.git.worktree.overlay import Checkout, laid
from visionflow_daemon.model import Reading
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.migrate import migrate
from visionflow_daemon.storage.sqlite import SqliteDatabase
from visionflow_daemon.storage.writer import Content, Writer
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.run import run_pass

SAVES = 12
"""Fewer than were measured (50), for the time that they take."""

INCLUDE = ("*.md", "*.ttl")
FOLLOW = ("--follow", "worktree")


def write(path: Path, text: str, *, is_settled: bool = True) -> None:
    """Write a file, a while ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    if is_settled:
        os.utime(path, (time.time() - 60,) * 2)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with ten pages."""
    path = tmp_path / "notes"
    git("init", "--quiet", "--initial-branch=main", str(path))
    for number in range(10):
        write(path / f"p{number}.md", class_page(f"urn:t:{number}", f"P{number}"))
    git("add", "--all", cwd=path)
    git("commit", "--quiet", "-m", "ten pages", cwd=path)
    return path


def labels(daemon: Daemon) -> set[str]:
    return {label for (label,) in daemon.query("SELECT label FROM owl_classes WHERE is_declared = 1")}


def fresh_dump(daemon: Daemon, tree: Path) -> str:
    """Commit all that git would add in a copy of the checkout, and give the dump of a sync of that commit."""
    copy = daemon.folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(tree, copy, symlinks=True)
    git("add", "--all", cwd=copy)
    git("commit", "--quiet", "--allow-empty", "-m", "all of it", cwd=copy)
    engines.drop(daemon.folder / "fresh.db")
    daemon.once(copy, database="fresh.db")
    return daemon.dump_bytes("fresh.db")


def test_once_takes_what_is_saved_and_gives_it_up_again(daemon: Daemon, tree: Path) -> None:
    daemon.once(tree, *FOLLOW)
    write(tree / "p1.md", class_page("urn:t:1", "changed"))
    write(tree / "new" / "n.md", class_page("urn:t:n", "new"))
    (tree / "p2.md").unlink()
    ran = daemon.once(tree, *FOLLOW)
    assert (ran.event("pass finished")["saved"], ran.event("pass finished")["deleted"]) == (2, 1)
    assert ran.event("pass finished")["overlay"] is not None
    assert labels(daemon) == {"changed", "new", *(f"P{number}" for number in (0, *range(3, 10)))}
    assert daemon.dump_bytes() == fresh_dump(daemon, tree)
    assert daemon.run("verify", "--source", tree, *FOLLOW, "--database", "kg.db").code == 0
    assert daemon.once(tree, *FOLLOW).event("nothing to do")["overlay"] is not None
    git("clean", "--quiet", "-fd", cwd=tree)
    git("checkout", "--quiet", ".", cwd=tree)
    assert daemon.once(tree, *FOLLOW).event("pass finished")["overlay"] is None
    assert labels(daemon) == {f"P{number}" for number in range(10)}


def test_a_commit_of_what_was_saved_changes_nothing_but_the_checkpoint(daemon: Daemon, tree: Path) -> None:
    write(tree / "n.md", class_page("urn:t:n", "new"))
    daemon.once(tree, *FOLLOW)
    before = daemon.dump_bytes()
    git("add", "--all", cwd=tree)
    git("commit", "--quiet", "-m", "n", cwd=tree)
    done = daemon.once(tree, *FOLLOW).event("pass finished")
    assert (done["saved"], done["deleted"], done["overlay"]) == (0, 0, None)
    assert daemon.query("SELECT commit_sha FROM checkpoints") == [(git("rev-parse", "HEAD", cwd=tree),)]
    assert daemon.dump_bytes() == before


def test_commits_and_files_on_disk_may_take_turns(daemon: Daemon, tree: Path) -> None:
    write(tree / "p1.md", class_page("urn:t:1", "changed"))
    daemon.once(tree, *FOLLOW)
    assert "changed" in labels(daemon)
    daemon.once(tree)
    assert "changed" not in labels(daemon)
    daemon.once(tree, *FOLLOW)
    assert daemon.dump_bytes() == fresh_dump(daemon, tree)


def test_a_bad_page_on_disk_keeps_its_last_good_facts_and_is_explained(daemon: Daemon, tree: Path) -> None:
    write(tree / "p1.md", class_page("urn:t:1", "good"))
    daemon.once(tree, *FOLLOW)
    write(tree / "p1.md", "# P1\n```json-ld\n{ broken\n```\n")
    daemon.once(tree, *FOLLOW, expect=3)
    assert "good" in labels(daemon)
    told = daemon.run("failures", "--database", "kg.db", "--explain", "p1.md")
    assert "{ broken" in told.out, told.out
    assert daemon.run("verify", "--source", tree, *FOLLOW, "--database", "kg.db").code == 0


def test_a_file_over_the_limit_fails_with_the_reason(daemon: Daemon, tree: Path) -> None:
    daemon.environment["VISIONFLOW_READING__LIMITS__PAGE_BYTES"] = "2000"
    daemon.environment["VISIONFLOW_READING__LIMITS__RDF_BYTES"] = "2000"
    write(tree / "p1.md", "x" * 2_001)
    daemon.once(tree, *FOLLOW, expect=3)
    (entry,) = daemon.run("failures", "--database", "kg.db", "--json").json["failures"]
    assert (entry["path"], entry["reason"]) == ("p1.md", "the file has 2,001 bytes, the limit is 2,000")
    daemon.once(tree, *FOLLOW, expect=3)


def test_a_remote_has_no_work_tree(daemon: Daemon) -> None:
    ran = daemon.run("--once", "--source", "https://127.0.0.1:9/r.git", *FOLLOW, "--database", "kg.db")
    assert (ran.code, "follow: only a checkout on this machine has a work tree" in ran.err) == (2, True)


def test_many_deletions_on_disk_are_held_as_those_of_commits(daemon: Daemon, tree: Path) -> None:
    for number in range(40):
        write(tree / f"q{number}.md", class_page(f"urn:t:q{number}", f"Q{number}"))
    daemon.once(tree, *FOLLOW)
    for number in range(40):
        (tree / f"q{number}.md").unlink()
    daemon.once(tree, *FOLLOW, expect=5)
    assert len(labels(daemon)) == 50
    daemon.once(tree, *FOLLOW, "--allow-mass-delete")
    assert len(labels(daemon)) == 10


def test_a_damaged_store_costs_a_pass_nothing_but_time(daemon: Daemon, tree: Path) -> None:
    write(tree / "n.md", class_page("urn:t:n", "new"))
    daemon.once(tree, *FOLLOW)
    (store,) = (daemon.folder / "home/.local/state/visionflow-daemon/worktrees").glob("*.git")
    for path in (store / "objects").glob("[0-9a-f][0-9a-f]/*"):
        path.chmod(0o600)
        path.write_bytes(b"")
    write(tree / "n.md", class_page("urn:t:n", "newer"))
    ran = daemon.once(tree, *FOLLOW)
    assert ran.event("store damaged")["store"] == str(store)
    assert "newer" in labels(daemon)


def test_kills_while_files_are_saved_lose_nothing(daemon: Daemon, tree: Path) -> None:
    for number in range(400):
        write(tree / f"q{number}.md", class_page(f"urn:t:q{number}", f"Q{number}"))
    engines.migrated(daemon.folder / "kg.db").close()
    with engines.Connected(daemon.folder / "kg.db") as reader:
        for count in (1, 20, 60, 150):
            process = daemon.start("--once", "--source", tree, *FOLLOW, "--database", "kg.db")
            eventually(lambda count=count: reader.execute("SELECT COUNT(*) FROM owl_classes").fetchone()[0] >= count)
            process.kill()
            process.communicate()
            assert process.returncode == -signal.SIGKILL
    daemon.once(tree, *FOLLOW)
    assert daemon.dump_bytes() == fresh_dump(daemon, tree)


def seconds_to_row(daemon: Daemon, save: Callable[[int], None], running: Running, count: int = SAVES) -> list[float]:
    """Measure from the end of a save to the row in the database, again and again."""
    asked = "SELECT 1 FROM owl_classes WHERE class_iri = 'urn:t:7' AND label = ?"
    seconds = []
    with engines.Connected(daemon.folder / "kg.db") as reader:
        for number in range(count):
            save(number)
            began = time.monotonic()
            eventually(lambda number=number: bool(reader.execute(asked, (f"save {number}",)).fetchall()), 10)
            seconds.append(time.monotonic() - began)
    assert running.process.poll() is None
    return seconds


def test_a_save_is_in_the_database_at_once(daemon: Daemon, tree: Path) -> None:
    with daemon.running("--source", tree, *FOLLOW, "--database", "kg.db") as running:
        running.until("pass finished")

        def save(number: int) -> None:
            write(tree / "p7.md", class_page("urn:t:7", f"save {number}"), is_settled=False)

        seconds = seconds_to_row(daemon, save, running)
        assert running.end() == 0
    assert statistics.median(seconds) < 0.5, seconds
    assert daemon.dump_bytes() == fresh_dump(daemon, tree)


def test_editors_that_replace_the_file_and_folders_that_are_new_are_followed(daemon: Daemon, tree: Path) -> None:
    with daemon.running("--source", tree, *FOLLOW, "--database", "kg.db") as running:
        running.until("pass finished")
        write(tree / "a" / "b" / "c" / "n.md", class_page("urn:t:n", "deep"), is_settled=False)
        eventually(lambda: "deep" in labels(daemon), 5)
        write(tree / "a" / "b" / "c" / "n.md", class_page("urn:t:n", "deep again"), is_settled=False)
        eventually(lambda: "deep again" in labels(daemon), 5)
        write(tree / ".p1.md.swp", class_page("urn:t:1", "replaced"), is_settled=False)
        (tree / ".p1.md.swp").rename(tree / "p1.md")
        eventually(lambda: "replaced" in labels(daemon), 5)
        (tree / "a").rename(tree / "z")
        eventually(lambda: daemon.query("SELECT 1 FROM source_files WHERE display_path = 'z/b/c/n.md'") != [], 5)
        git("add", "--all", cwd=tree)
        git("commit", "--quiet", "-m", "all of it", cwd=tree)
        head = git("rev-parse", "HEAD", cwd=tree)
        eventually(lambda: daemon.query("SELECT 1 FROM checkpoints WHERE overlay IS NULL") != [], 5)
        assert daemon.query("SELECT commit_sha FROM checkpoints") == [(head,)]
        git("checkout", "--quiet", "-b", "side", "HEAD~1", cwd=tree)
        eventually(lambda: labels(daemon) == {f"P{number}" for number in range(10)}, 5)
        assert running.end() == 0
    assert daemon.dump_bytes() == fresh_dump(daemon, tree)


def test_what_does_not_count_wakes_nobody(daemon: Daemon, tree: Path) -> None:
    write(tree / ".gitignore", "*.tmp.md\n")
    with daemon.running("--source", tree, *FOLLOW, "--database", "kg.db", "--log-level", "debug") as running:
        running.until("pass finished")
        write(tree / "x.tmp.md", "ignored", is_settled=False)
        write(tree / "picture.png", "not selected", is_settled=False)
        write(tree / "logseq" / "bak" / "p.md", class_page("urn:t:bak", "excluded"), is_settled=False)
        write(tree / "n.md", class_page("urn:t:n", "new"), is_settled=False)
        running.until("pass finished")
        assert running.count("pass asked for") == 2
        assert running.end() == 0


def test_a_page_that_is_half_written_is_read_when_it_is_whole(daemon: Daemon, tree: Path) -> None:
    text = class_page("urn:t:n", "whole")
    with daemon.running("--source", tree, *FOLLOW, "--database", "kg.db") as running:
        running.until("pass finished")
        with (tree / "n.md").open("w") as page:
            for at in range(0, len(text), len(text) // 12):
                page.write(text[at : at + len(text) // 12])
                page.flush()
                time.sleep(0.05)
        eventually(lambda: "whole" in labels(daemon), 5)
        assert running.count("file failed") == 0
        assert running.end() == 0


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_where_watches_run_out_below_the_top_it_polls_with_one_warning(daemon: Daemon, tree: Path, limit: str) -> None:
    for number in range(20):
        write(tree / "deep" / str(number) / "n.md", class_page(f"urn:t:d{number}", f"D{number}"))
    most = 12 if limit == "max_inotify_watches" else 0
    unshare = ("unshare", "-U", "-r", "sh", "-c", f'echo {most} >/proc/sys/user/{limit} && exec "$@"', "sh")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("limits of inotify can't be set here")
    daemon.under = unshare
    daemon.environment["VISIONFLOW_DAEMON__POLL"] = "0.1"
    with daemon.running("--source", tree, *FOLLOW, "--database", "kg.db") as running:
        assert "fs.inotify" in running.until("changes are not reported")["reason"]
        running.until("pass finished")
        for number in (19, 3):
            write(tree / "deep" / str(number) / "n.md", class_page(f"urn:t:d{number}", f"new {number}"))
            eventually(lambda number=number: f"new {number}" in labels(daemon), 5)
        assert running.count("changes are not reported") == 1
        assert running.end() == 0


def test_a_checkout_of_another_user_is_read_as_the_configuration_names_it(daemon: Daemon, tree: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for path in (tree, *tree.rglob("*")):
        os.chown(path, 65_534, 65_534, follow_symlinks=False)
    inner = tree / "inner"
    git("init", "--quiet", str(inner))
    write(tree / "n.md", class_page("urn:t:n", "theirs"))
    for follow in ("commits", "worktree"):
        daemon.once(tree, "--follow", follow)
    assert "theirs" in labels(daemon)
    ran = daemon.run("--once", "--source", tree / "sub", "--database", "other.db")
    assert ran.code == 2, "a folder within a repository is not taken for it"


# Random work in a checkout, with git itself as the judge of what is in it.

NAMES = ["a.md", "b.md", "d/a.md", "d/e/c.md", "x.ttl", "Ω.md", "skip.txt"]
TEXTS = [class_page("urn:t:a", "A"), class_page("urn:t:b", "B", subClassOf=[{"@id": "urn:t:a"}]), "- nothing\n"]
TEXTS += ["```json-ld\n{ broken\n```\n", class_page("urn:t:a", "A again").replace("\n", "\r\n")]
IGNORED = ["", "*.ttl\n", "d/\n", "/a.md\n!d/\n", "d/*\n!d/e/\n"]

work = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(NAMES), st.sampled_from(TEXTS)),
    st.tuples(st.just("delete"), st.sampled_from(NAMES), st.none()),
    st.tuples(st.just("move"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("link"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
    st.tuples(st.just("ignore"), st.sampled_from(["", "d/"]), st.sampled_from(IGNORED)),
    st.tuples(st.just("commit"), st.none(), st.none()),
    st.tuples(st.just("back"), st.none(), st.none()),
    st.tuples(st.just("pass"), st.sampled_from(["commits", "worktree", "worktree"]), st.none()),
)


class Bench:
    """A checkout that is worked in, and a database that follows it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = folder / "tree"
        git("init", "--quiet", "--initial-branch=main", str(self.tree))
        git("commit", "--quiet", "--allow-empty", "-m", "nothing yet", cwd=self.tree)

    def do(self, what: str, first: str | None, second: str | None) -> None:
        """Do one thing; what can't be done is not."""
        path = self.tree / (first or "")
        try:
            if what == "write":
                write(path, second or "")
            elif what == "delete":
                path.unlink()
            elif what == "move":
                (self.tree / (second or "")).parent.mkdir(parents=True, exist_ok=True)
                path.rename(self.tree / (second or ""))
            elif what == "link":
                path.symlink_to(second or "")
            elif what == "ignore":
                write(path / ".gitignore", second or "")
            elif what == "commit":
                git("add", "--all", cwd=self.tree)
                git("commit", "--quiet", "--allow-empty", "-m", "work", cwd=self.tree)
            elif what == "back":
                subprocess.run(["git", "reset", "--quiet", "HEAD~1"], cwd=self.tree, capture_output=True, check=False)
            elif what == "pass":
                self.sync(is_disk=first == "worktree")
        except OSError:
            return

    def sync(self, *, is_disk: bool = True) -> None:
        """Run a pass."""
        database = engines.migrated(self.folder / "lived.db")
        job = Job("o", INCLUDE, (), Reading(), 2, 4, 5.0)
        selects = changes.selection(INCLUDE, ())
        branch = None if is_disk else "main"
        try:
            with laid(
                Checkout(str(self.tree), branch, self.folder, self.folder / "store.git", selects, 1 << 20)
            ) as target:
                from visionflow_daemon.git.repository import find_local  # noqa: PLC0415

                found = target if is_disk else find_local(str(self.tree), "main", self.folder)
                run_pass(job, Services(database), lambda: found)
        finally:
            database.close()

    def judged(self) -> dict[str, str]:
        """Ask git for the selected files that it tracks or would add, each with its blob; those of HEAD count."""
        listed = set(git("ls-tree", "-r", "--name-only", "-z", "HEAD", cwd=self.tree).split("\0"))
        untracked = git("ls-files", "--others", "--exclude-standard", "-z", cwd=self.tree).split("\0")
        found = {}
        for name in sorted(listed | set(untracked)):
            path = self.tree / name
            if not name.endswith((".md", ".ttl")) or not os.path.lexists(path) or path.is_dir():
                continue
            if any((self.tree / part).is_symlink() for part in Path(name).parents):
                continue
            data = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
            found[name] = git("hash-object", "--stdin", cwd=self.tree, stdin=data)
        return found

    def check(self) -> None:
        """Compare the database with what git says, and its dump with that of a fresh one fed the same contents."""
        lived = engines.opened(self.folder / "lived.db")
        fresh = SqliteDatabase(self.folder / "fresh.db", is_scratch=True)
        try:
            rows = lived.rows("SELECT path, blob_seen FROM source_files")
            assert {bytes(path).decode(): blob for path, blob in rows} == self.judged()
            migrate(fresh)
            writer = Writer(fresh, "o", lambda: "t")
            saved = lived.rows(
                "SELECT path, blob_saved, format FROM source_files WHERE blob_saved IS NOT NULL AND format <> 'symlink'"
            )
            for path, blob, _ in saved:
                data = subprocess.run(
                    ["git", "--git-dir", str(self.folder / "store.git"), "cat-file", "blob", blob],
                    capture_output=True,
                    check=True,
                ).stdout
                writer.save(Content(path, blob, reading_digest(Reading())), read_page(path, data, Reading()))
            ours = [line for line in dump(lived, "o") if b'"symlink"' not in line]
            assert ours == list(dump(fresh, "o"))
        finally:
            lived.close()
            fresh.close()
            (self.folder / "fresh.db").unlink(missing_ok=True)


def a_working_day(steps: list[tuple[str, str | None, str | None]]) -> None:
    with engines.folder() as folder:
        bench = Bench(Path(folder))
        for step in steps:
            bench.do(*step)
        bench.sync()
        bench.check()


@settings(max_examples=engines.examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(work, max_size=14))
def test_whatever_is_done_in_a_checkout_the_database_is_what_git_would_add(
    steps: list[tuple[str, str | None, str | None]],
) -> None:
    a_working_day(steps)


@pytest.mark.deep
@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(work, max_size=30))
def test_whatever_is_done_in_a_checkout_at_length(steps: list[tuple[str, str | None, str | None]]) -> None:
    a_working_day(steps)
