"""A source that is rolled out by and by: 10 %, 50 %, 100 % of its files, each time the hashed share; and back."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.conftest import corpus
from tests.legacy.test_take_over import NARRATIVE, fill_shape_a
from tests.support import Daemon, Repo, class_page, git
from visionflow_daemon.git.rollout import share

PATHS = [f"pages/p{number}.md" for number in range(60)]
BACK = "--allow-lower-rollout"


def rollout(percent: float) -> tuple[str, str]:
    """Give the option."""
    return "--rollout-percent", str(percent)


def live(paths: list[str], percent: float) -> set[str]:
    """Give the paths that are due to be live."""
    return {path for path in paths if share(percent)(path.encode())}


def files(daemon: Daemon) -> set[str]:
    """Give the paths that the database holds."""
    return {bytes(path).decode() for (path,) in daemon.query("SELECT path FROM source_files WHERE file_id > 0")}


@pytest.fixture
def pages(repo: Repo) -> Repo:
    """A repository of sixty pages, each of a class with the one before as parent."""
    repo.commit(
        {
            path: class_page(f"urn:t:{at}", f"P{at}", subClassOf={"@id": f"urn:t:{at - 1}"})
            for at, path in enumerate(PATHS)
        }
    )
    return repo


def test_raising_saves_what_is_new_alone_and_deletes_nothing(pages: Repo, daemon: Daemon) -> None:
    before: set[str] = set()
    for percent in (10, 33.3, 50, 100):
        done = daemon.once(pages.path, *rollout(percent)).event("pass finished")
        due = live(PATHS, percent)
        assert files(daemon) == due
        assert (done["saved"], done["deleted"]) == (len(due - before), 0)
        assert daemon.once(pages.path, *rollout(percent)).event("nothing to do")
        if before:
            assert done["plan_reason"].startswith("the rollout went from ")
        before = due
    daemon.once(pages.path, database="plain.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("plain.db")
    assert daemon.once(pages.path).event("nothing to do")  # 100 % is no rollout


def test_commits_touch_what_is_live_and_nothing_else(pages: Repo, daemon: Daemon) -> None:
    daemon.once(pages.path, *rollout(50))
    due = live(PATHS, 50)
    inside, outside = min(due), min(set(PATHS) - due)
    pages.commit({inside: class_page("urn:t:new", "New"), outside: class_page("urn:t:other", "Other")})
    done = daemon.once(pages.path, *rollout(50)).event("pass finished")
    assert (done["plan"], done["saved"]) == ("diff", 1)
    assert daemon.query("SELECT label FROM owl_classes WHERE class_iri IN ('urn:t:new', 'urn:t:other')") == [("New",)]
    pages.commit({inside: None, outside: None})
    assert daemon.once(pages.path, *rollout(50)).event("pass finished")["deleted"] == 1
    assert daemon.once(pages.path, *rollout(50), "--full").event("pass finished")["deleted"] == 0
    assert files(daemon) == due - {inside}


def test_lowering_is_refused_in_words_and_done_where_it_is_meant(pages: Repo, daemon: Daemon) -> None:
    daemon.once(pages.path, *rollout(50))
    dumped = daemon.dump_bytes()
    due = live(PATHS, 50), live(PATHS, 10)
    going = len(due[0]) - len(due[1])
    for full in ((), ("--full",)):
        refused = daemon.once(pages.path, *rollout(10), *full, expect=2)
        assert (
            f"rollout_percent is 10, and 50 is in force in ontology 'default': {going} files would go, "
            f"and {going} of {len(due[0])} classes be declared by no file" in refused.err
        )
        assert daemon.dump_bytes() == dumped
    held = daemon.once(pages.path, *rollout(10), BACK, expect=5)
    assert "--allow-mass-delete" in held.err
    assert files(daemon) == due[0]
    # What was held is no lower rollout yet: nobody may go back without saying so.
    daemon.once(pages.path, *rollout(10), expect=2)
    done = daemon.once(pages.path, *rollout(10), BACK, "--allow-mass-delete").event("pass finished")
    assert (done["saved"], done["deleted"]) == (0, going)
    assert files(daemon) == due[1]
    daemon.once(pages.path, *rollout(10), database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")
    assert daemon.once(pages.path, *rollout(10)).event("nothing to do")


def test_a_database_that_holds_all_is_no_rollout_by_mistake(pages: Repo, daemon: Daemon) -> None:
    daemon.once(pages.path)
    assert "100 is in force" in daemon.once(pages.path, *rollout(99), expect=2).err


def test_a_raise_that_did_not_come_through_counts_as_one(pages: Repo, daemon: Daemon) -> None:
    daemon.once(pages.path, *rollout(10))
    daemon.environment["VISIONFLOW_BREAKER__FEWEST_FAILING"] = "2"
    broken = live(PATHS, 50) - live(PATHS, 10)
    good = {path: class_page(f"urn:t:{path}", path) for path in broken}
    pages.commit(dict.fromkeys(broken, '# Broken\n\n```json-ld\n{"@type": "Class", oops\n```\n'))
    daemon.once(pages.path, *rollout(50), expect=5)
    assert daemon.query("SELECT is_clean, rollout_percent FROM checkpoints") == [(0, 50)]
    assert daemon.run("retry", "--database", "kg.db").code == 0  # closes the breaker
    assert "50 is in force" in daemon.once(pages.path, *rollout(10), expect=2).err
    pages.commit(good)
    assert daemon.once(pages.path, *rollout(50)).event("pass finished")["saved"] == len(good)
    assert files(daemon) == live(PATHS, 50)


def test_verify_wants_the_rollout_of_the_pass(pages: Repo, daemon: Daemon) -> None:
    daemon.once(pages.path, *rollout(50))
    arguments = ("verify", "--source", pages.path, "--database", "kg.db")
    assert daemon.run(*arguments, *rollout(50)).code == 0
    refused = daemon.run(*arguments)
    assert refused.code == 2
    assert "rollout" in refused.err


@pytest.mark.parametrize("percent", ["0", "-1", "100.1", "nan"])
def test_what_is_no_percentage_is_refused(repo: Repo, daemon: Daemon, percent: str) -> None:
    ran = daemon.run("--once", "--source", repo.path, *rollout(float(percent)))
    assert ran.code == 2
    assert "rollout_percent" in ran.err


def test_a_flag_to_go_back_is_for_one_pass(repo: Repo, daemon: Daemon) -> None:
    ran = daemon.run("--source", repo.path, BACK)
    assert ran.code == 2
    assert f"{BACK}: that is for one pass" in ran.err


def test_status_shows_a_rollout_while_there_is_one(pages: Repo, daemon: Daemon) -> None:
    daemon.once(pages.path, *rollout(12.5))
    assert "12.5 % of the files are live" in daemon.run("status", "--database", "kg.db").out
    assert daemon.run("status", "--database", "kg.db", "--json").json[0]["rollout_percent"] == 12.5
    daemon.once(pages.path)
    assert "files are live" not in daemon.run("status", "--database", "kg.db").out


def test_files_on_disk_are_rolled_out_as_commits_are(daemon: Daemon) -> None:
    tree = daemon.folder / "notes"
    git("init", "--quiet", "--initial-branch=main", str(tree))
    (tree / "pages").mkdir()
    for at, path in enumerate(PATHS):
        (tree / path).write_text(class_page(f"urn:t:{at}", f"P{at}"))
    git("add", "--all", cwd=tree)
    git("commit", "--quiet", "-m", "pages", cwd=tree)
    for at, path in enumerate(PATHS):
        (tree / path).write_text(class_page(f"urn:t:{at}", f"Saved {at}"))
    for percent in (10, 50, 100):
        daemon.once(tree, "--follow", "worktree", *rollout(percent))
        assert files(daemon) == live(PATHS, percent)
    labels = daemon.query("SELECT COUNT(*) FROM owl_classes WHERE label LIKE 'Saved %'")
    assert labels == [(len(PATHS),)]


def config(daemon: Daemon, repository: Path, percent: float) -> Path:
    """Write a configuration."""
    path = daemon.folder / "config.toml"
    path.write_text(
        f'database = "kg.db"\n[[sources]]\nlocation = "{repository}"\nrollout_percent = {percent}\n'
        "[daemon]\ninterval = 3600\n"
    )
    return path


def test_the_daemon_raises_by_sighup_and_refuses_to_lower(pages: Repo, daemon: Daemon) -> None:
    path = config(daemon, pages.path, 10)
    with daemon.running("--config", path) as running:
        assert running.until("pass finished")["saved"] == len(live(PATHS, 10))
        for percent, before in ((50, 10), (100, 50)):
            config(daemon, pages.path, percent)
            running.process.send_signal(signal.SIGHUP)
            done = running.until("pass finished")
            assert (done["saved"], done["deleted"]) == (len(live(PATHS, percent) - live(PATHS, before)), 0)
            assert files(daemon) == live(PATHS, percent)
        config(daemon, pages.path, 50)
        running.process.send_signal(signal.SIGHUP)
        refused = running.until("configuration refused")
        assert "sources[0].rollout_percent: 50 is less than 100, which is in force" in refused["reason"]
        pages.commit({"pages/p0.md": class_page("urn:t:0", "Again")})
        assert running.until("pass finished")["saved"] == 1
        assert running.end() == 0
    with daemon.running("--config", path) as running:
        assert "50, and 100 is in force" in running.until("pass failed")["reason"]
        assert running.end() == 0
    assert files(daemon) == set(PATHS)
    back = daemon.run("--once", "--config", path, BACK, "--allow-mass-delete")
    assert back.code == 0
    with daemon.running("--config", path) as running:
        running.until("nothing to do")
        assert running.end() == 0
    assert files(daemon) == live(PATHS, 50)


@pytest.mark.sqlite
def test_the_real_pages_are_rolled_out_into_an_adopted_database(tmp_path: Path, daemon: Daemon) -> None:
    """At each step the hashed share is live, the old database answers for the rest, and it ends as a plain sync."""
    repository = corpus("narrativegoldmine-974", tmp_path)
    listed = git("ls-tree", "-r", "-z", "--name-only", "HEAD", cwd=repository).split("\0")
    paths = [path for path in listed if path.startswith("ontology/pages/") and path.endswith(".md")]
    assert len(paths) == 974
    daemon.once(repository, *NARRATIVE, database="plain.db")
    plain = daemon.dump_bytes("plain.db")
    fill_shape_a(daemon.folder / "old.db", plain)
    fill_shape_a(daemon.folder / "kg.db", plain)
    assert daemon.run("migrate", "up", "--database", "kg.db", timeout=300).code == 0
    before: set[str] = set()
    for percent in (10, 50, 100):
        done = daemon.once(repository, *NARRATIVE, *rollout(percent)).event("pass finished")
        due = live(paths, percent)
        assert files(daemon) == due
        assert len(due) == pytest.approx(974 * percent / 100, abs=20)
        assert (done["saved"], done["deleted"]) == (len(due - before), 0)
        compared = daemon.run("compare", "old.db", "kg.db", "--json")
        assert (compared.code, compared.json["differences"]) == (0, [])
        remaining = daemon.query("SELECT COUNT(*) FROM class_facts WHERE file_id = 0")[0][0]
        assert (remaining == 0) == (percent == 100)
        before = due
    assert daemon.dump_bytes() == plain
