"""An ontology is forgotten on request alone: nothing is left of it, whatever cuts that off, and others stay."""

from __future__ import annotations

import re
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests import engines
from tests.cli.terminal import on_a_terminal
from tests.engines import assert_sound
from tests.git.servers import git_http
from tests.legacy.builders import Builder
from tests.support import Daemon, Repo, class_page, git, outline_page
from visionflow_daemon.config.load import load
from visionflow_daemon.forgetting import Rules, forget_ontology, look

PAGES = 30
OURS = (
    *("source_files", "page_names", "page_warnings", "class_facts", "property_facts", "links", "owl_axioms"),
    *("owl_classes", "owl_class_hierarchy", "owl_properties", "property_uses", "checkpoints", "sync_runs"),
)
INFERRED = (
    "INSERT INTO owl_axioms (ontology_id, id, axiom_type, subject, object, is_inferred)"
    " VALUES ('work', -7, 'SubClassOf', 'urn:a', 'urn:b', 1)"
)


def pages(name: str, count: int = PAGES) -> dict[bytes | str, str]:
    """Make pages that fill every table: parents, links to each other, properties, warnings, and a broken one."""
    made: dict[bytes | str, str] = {
        f"{name}/{at}.md": outline_page(
            f"{name} {at}", f"is-subclass-of:: [[{name} {at // 2}]]", f"has-part:: [[{name} {at + 1}]]"
        )
        for at in range(count)
    }
    made[f"{name}/p.ttl"] = "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n<urn:p> a owl:ObjectProperty .\n"
    made[f"{name}/w.md"] = outline_page(f"{name} w", axioms="SubClassOf(mv:W nowhere:X)")
    made[f"{name}/bad.md"] = '```json-ld\n{"@type": "Class", "@id": "no iri"}\n```\n'
    return made


class Stage:
    """Two sources in one database: `work`, to be forgotten, and `home`, which is to stay."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self.daemon = daemon
        self.repos = {name: Repo(folder / f"{name}.git") for name in ("work", "home")}
        for name, repo in self.repos.items():
            repo.commit(pages(name))
        self.configure("work", "home")
        assert self.daemon.run("--once", "--config", "c.toml").code == 3
        with engines.Connected(daemon.folder / "kg.db") as connection:
            connection.execute(INFERRED)

    @property
    def state(self) -> Path:
        """The state directory."""
        return self.daemon.folder / "home" / ".local/state/visionflow-daemon"

    def configure(self, *names: str) -> None:
        """Configure these sources."""
        text = "".join(f'[[sources]]\nlocation = "{self.repos[name].path}"\nontology_id = "{name}"\n' for name in names)
        (self.daemon.folder / "c.toml").write_text(f'database = "kg.db"\n{text}')

    def rows(self, ontology_id: str) -> dict[str, int]:
        """Count the rows of an ontology, by table, where there are any."""
        found = {
            table: self.daemon.query(f"SELECT COUNT(*) FROM {table} WHERE ontology_id = '{ontology_id}'")[0][0]
            for table in OURS
        }
        return {table: count for table, count in found.items() if count}

    def dump(self, ontology_id: str) -> str:
        """Give the dump of an ontology."""
        return self.daemon.dump_bytes("kg.db", "--ontology-id", ontology_id)

    def fresh(self, name: str) -> str:
        """Give the dump of a fresh database."""
        engines.drop(self.daemon.folder / "fresh.db")
        self.daemon.once(self.repos[name].path, "--ontology-id", name, database="fresh.db", expect=3)
        return self.daemon.dump_bytes("fresh.db", "--ontology-id", name)


@pytest.fixture
def stage(daemon: Daemon, tmp_path: Path) -> Stage:
    return Stage(daemon, tmp_path)


def test_what_is_configured_no_more_stays_until_it_is_forgotten(stage: Stage) -> None:
    assert set(stage.rows("work")) == set(OURS)
    home = stage.dump("home")
    stage.configure("home")
    assert stage.daemon.run("--once", "--config", "c.toml").code == 3
    assert set(stage.rows("work")) == set(OURS)
    counted = stage.rows("work")
    tried = stage.daemon.run("forget", "work", "--config", "c.toml", "--dry-run", "--json")
    assert stage.rows("work") == counted
    ran = stage.daemon.run("forget", "work", "--config", "c.toml", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert stage.rows("work") == {"owl_axioms": 1}
    assert ran.json["removed"] == {
        "files": counted["source_files"],
        "classes": counted["owl_classes"],
        "parents": counted["owl_class_hierarchy"],
        "properties": counted["owl_properties"],
        "axioms": counted["owl_axioms"] - 1,
        "links": counted["links"],
        "warnings": counted["page_warnings"],
        "passes": 1,
    }
    assert ran.json["kept"] == {"inferred": 1}
    (note,) = ran.json["state"]
    assert not Path(note).exists()
    assert tried.json == ran.json | {"is_trial": True}
    assert stage.dump("home") == home
    assert_sound(stage.daemon.folder / "kg.db")
    assert re.search(r'"event":"ontology forgotten"', ran.err)
    again = stage.daemon.run("forget", "work", "--config", "c.toml", "--yes", "--with-inferred")
    assert (again.code, stage.rows("work")) == (0, {})
    none = stage.daemon.run("forget", "work", "--config", "c.toml", "--yes")
    told = "there is no ontology 'work': `visionflow-daemon status` tells of those there are"
    assert (none.code, none.err) == (2, f"visionflow-daemon: {told}\n")


def test_what_is_configured_is_forgotten_only_where_that_is_meant(stage: Stage) -> None:
    refused = stage.daemon.run("forget", "work", "--config", "c.toml", "--yes")
    assert refused.code == 2
    assert "ontology 'work' is fed by sources[0] of the configuration, which would bring it back" in refused.err
    named = stage.daemon.run("forget", "--source-name", "work", "--config", "c.toml", "--yes")
    assert (named.code, named.err) == (2, refused.err)
    anew = stage.daemon.run("forget", "--source-name", "work", "--config", "c.toml", "--yes", "--even-if-configured")
    assert (anew.code, stage.rows("work")) == (0, {"owl_axioms": 1})
    assert stage.daemon.run("--once", "--config", "c.toml").code == 3
    assert stage.dump("work") == stage.fresh("work")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "say what to forget: give an ontology's id, or --source-name"),
        (("work",), "what is forgotten is gone: give --yes, or look first with --dry-run"),
        (("work", "--ontology-id", "home"), "--ontology-id: it names 'home', not 'work'"),
        (("wrok", "--yes"), "there is no ontology 'wrok': `visionflow-daemon status` tells of those there are"),
    ],
)
def test_a_mistake_forgets_nothing(stage: Stage, arguments: tuple[str, ...], told: str) -> None:
    before = stage.rows("work")
    ran = stage.daemon.run("forget", *arguments, "--database", "kg.db")
    assert (ran.code, ran.out, ran.err) == (2, "", f"visionflow-daemon: {told}\n")
    assert stage.rows("work") == before


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 1), (b"\n", 1), (b"y\n", 0)])
def test_a_person_is_asked(stage: Stage, answer: bytes, code: int) -> None:
    place = stage.daemon.folder / "kg.db"
    found, shown = on_a_terminal(stage.daemon, "forget", "work", "--database", "kg.db", keys=answer)
    assert (found, bool(stage.rows("work").get("checkpoints"))) == (code, bool(code))
    assert re.search(
        rf"Remove ontology 'work' of {re.escape(engines.known_as(place))}:"
        r" 33 files, \d+ classes, \d+ properties and \d+ axioms\?",
        shown,
    )


def test_wherever_it_is_cut_off_it_is_gone_on_with(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each transaction of a removal in small parts: done again, and by a pass of the ontology, all is exact."""
    monkeypatch.setattr("visionflow_daemon.storage.forget.PARTS", SMALL)
    folder = stage.daemon.folder
    stage.configure("home")
    config = load(folder / "c.toml", {})
    whole = engines.kept(folder / "kg.db")
    home, fresh = stage.dump("home"), stage.fresh("work")
    commits = 0
    while True:
        commits += 1
        engines.put_back(folder / "kg.db", whole)
        database = engines.migrated(folder / "kg.db")
        left = commits

        def cut(_waited: float, _held: float) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise KeyboardInterrupt

        database.observe = cut
        try:
            forget_ontology(config, database, stage.state, "work", Rules(30.0))
        except KeyboardInterrupt:
            pass
        else:
            break
        finally:
            database.close()
            database.end()
        if commits % 4 == 0:  # by a pass
            stage.configure("work", "home")
            ran = stage.daemon.run("--once", "--config", "c.toml", "--source-name", "work")
            assert ran.code == 3, ran.err
            assert "removal continued" in {event["event"] for event in ran.events}
            assert stage.dump("work") == fresh
            stage.configure("home")
        else:
            database = engines.migrated(folder / "kg.db")
            forget_ontology(config, database, stage.state, "work", Rules(30.0))
            assert not look(config, database, stage.state, "work").was_cut_off
            database.close()
            database.end()
            assert stage.rows("work") == {"owl_axioms": 1}
    assert commits > 20
    assert stage.dump("home") == home


def test_kill_9_in_the_middle_is_gone_on_with(stage: Stage) -> None:
    killed = stage.daemon.run_python(
        "import os, signal\nfrom visionflow_daemon.cli.main import main\nfrom visionflow_daemon.storage import forget\n"
        "import sys\nwhole, times = forget.remove_part, []\n"
        "def cut(*given, **named):\n    times.append(1)\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if len(times) == 4 else whole(*given, **named)\n"
        "forget.remove_part = cut\n"
        f"sys.argv[1:] = ['forget', 'work', '--database', {stage.daemon.database()!r}, '--yes']\nmain()\n"
    )
    assert killed.code == -signal.SIGKILL
    assert 0 < len(stage.rows("work")) < len(OURS)
    told = {each["ontology_id"]: each for each in stage.daemon.run("status", "--database", "kg.db", "--json").json}
    assert (told["work"]["commit"], told["work"]["is_whole"]) == (None, False)
    assert "being forgotten: `forget` goes on with it" in stage.daemon.run("status", "--database", "kg.db").out
    assert stage.daemon.run("forget", "work", "--database", "kg.db", "--yes", "--with-inferred").code == 0
    assert stage.rows("work") == {}
    assert_sound(stage.daemon.folder / "kg.db")


def test_the_clone_goes_with_its_last_source(daemon: Daemon, repo: Repo) -> None:
    repo.commit(pages("a", 2))
    with git_http(repo.path.parent) as server:
        url = f"http://{server.address}/{repo.path.name}"
        for name in ("a", "b"):
            daemon.once(url, "--ontology-id", name, expect=3)
        state = daemon.folder / "home" / ".local/state/visionflow-daemon"
        (clone,) = (state / "clones").glob("*.git")
        assert daemon.run("forget", "a", "--database", "kg.db", "--yes").code == 0
        assert clone.is_dir()
        ran = daemon.run("forget", "b", "--database", "kg.db", "--yes")
        assert (ran.code, clone.exists()) == (0, False)
        assert f"deleted: {clone}" in ran.out
        assert [path for path in state.rglob("*") if path.is_file() and path.stat().st_size] == []
        daemon.once(url, "--ontology-id", "b", expect=3)


def test_what_stood_on_disk_goes_too(daemon: Daemon, tmp_path: Path) -> None:
    git("init", "--quiet", "--initial-branch=main", str(tmp_path / "notes"))
    (tmp_path / "notes" / "a.md").write_text(class_page("urn:a", "A"))
    git("add", ".", cwd=tmp_path / "notes")
    git("commit", "--quiet", "-m", "a", cwd=tmp_path / "notes")
    (tmp_path / "notes" / "b.md").write_text(class_page("urn:b", "B"))
    daemon.once(tmp_path / "notes", "--follow", "worktree")
    (store,) = (daemon.folder / "home" / ".local/state/visionflow-daemon" / "worktrees").glob("*.git")
    assert daemon.run("forget", "default", "--database", "kg.db", "--yes").code == 0
    assert not store.exists()
    assert (tmp_path / "notes" / "b.md").exists()
    daemon.once(tmp_path / "notes", "--follow", "worktree")


@pytest.mark.sqlite
def test_of_an_older_visionflows_ontology_the_way_back_leaves_out_what_was_forgotten(daemon: Daemon) -> None:
    old = Builder(daemon.folder / "kg.db", "C", 40).build()
    of = "SELECT ontology_id, COUNT(*) FROM owl_classes GROUP BY 1 ORDER BY 1"
    before = dict(daemon.query(of))
    assert daemon.run("migrate", "up", "--database", old).code == 0
    ran = daemon.run("forget", "other", "--database", old, "--yes", "--with-inferred", "--json")
    assert (ran.code, ran.json["removed"]["files"]) == (0, 0)
    assert ran.json["removed"]["axioms"]
    assert ran.json["removed"]["classes"]
    assert "other" not in daemon.run("status", "--database", old, "--json").out
    quarantined = "SELECT COUNT(*) FROM migration_quarantine WHERE table_name = 'owl_classes' AND ontology_id = 'other'"
    ((kept,),) = daemon.query(quarantined)
    assert daemon.run("migrate", "down", "--database", old).code == 0
    assert dict(daemon.query(of)) == {"main": before["main"]} | ({"other": kept} if kept else {})


def test_nobody_forgets_what_a_pass_writes(stage: Stage) -> None:
    config = load(None, {})
    folder = stage.daemon.folder
    with engines.held(folder / "kg.db", "work"):
        ran = stage.daemon.run("forget", "work", "--database", "kg.db", "--yes", "--lock-timeout", "0.1")
        assert ran.code == 6, ran.err
        assert "is writing ontology 'work'" in ran.err
        with closing(engines.migrated(folder / "kg.db")) as database:
            assert forget_ontology(config, database, stage.state, "home", Rules(0.1)).contents.files
    assert stage.rows("work").keys() == set(OURS)


SMALL = (
    ("owl_class_hierarchy", "class_iri", 10),
    ("owl_classes", "class_iri", 10),
    ("owl_properties", "property_iri", 1),
    ("source_files", "file_id", 5),
    ("property_uses", "property_iri", 1),
    ("sync_runs", "run_id", 1),
)
