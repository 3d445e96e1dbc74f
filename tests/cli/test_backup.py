"""`backup` and `restore` as people and programs use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import log_lines
from tests.cli.terminal import on_a_terminal
from tests.storage.backups.support import filled, names
from tests.support import Daemon, Ran, Repo, class_page

pytestmark = pytest.mark.sqlite

HERE = ("--database", "kg.db")


@pytest.fixture
def database(repo: Repo, daemon: Daemon) -> Path:
    """A small database."""
    return filled(repo, daemon, classes=3)


def logged(ran: Ran) -> list[dict[str, object]]:
    """Give the log lines of a verb, which stand on standard error."""
    assert [each for line in ran.err.splitlines() if (each := log_lines.complaint(line))] == []
    return [json.loads(line) for line in ran.err.splitlines()]


def test_a_backup_is_told_to_people_and_programs(database: Path, daemon: Daemon, repo: Repo) -> None:
    ran = daemon.run("backup", *HERE)
    assert ran.code == 0, ran.err
    (path,) = (daemon.folder / "backups").glob("*.gz")
    assert f"backup, verified  {path}\n" in ran.out
    assert f"synced to         default {repo.tip()[:12]}\n" in ran.out
    (line,) = logged(ran)
    assert (line["event"], line["backup"], line["content_bytes"]) == (
        "backup taken",
        str(path),
        database.stat().st_size,
    )

    second = daemon.run("backup", "other", "--json", *HERE).json
    assert Path(second["path"]).parent == daemon.folder / "other"
    assert second["commits"] == {"default": repo.tip()}
    assert second["deleted"] == []
    assert daemon.run("backup", "--list", "--json", *HERE).json["backups"] != []


def test_prune_keeps_what_the_configuration_says(daemon: Daemon, repo: Repo) -> None:
    filled(repo, daemon, classes=3)
    (daemon.folder / "c.toml").write_text(
        'database = "kg.db"\n[backup]\nkeep = 2\nkeep_weeks = 0\nfolder = "safe/deep"\n'
    )
    (daemon.folder / "safe").mkdir()
    taken = [daemon.run("backup", "--json", "--config", "c.toml").json["path"] for _ in range(3)]
    assert len(names(daemon.folder / "safe/deep")) == 6
    ran = daemon.run("backup", "--prune", "--json", "--config", "c.toml")
    assert ran.json["deleted"] == taken[:2]
    assert [line["event"] for line in logged(ran)] == ["backup taken", "backup deleted", "backup deleted"]
    listed = daemon.run("backup", "--list", "--config", "c.toml").out.splitlines()
    assert [line.split()[0] for line in listed] == [
        "backup",
        *(Path(each).name for each in (taken[2], ran.json["path"])),
    ]


def test_restore_takes_a_path_a_name_or_the_latest(database: Path, daemon: Daemon, repo: Repo) -> None:
    first = daemon.run("backup", "--json", *HERE).json
    then = daemon.dump_bytes()
    repo.commit({"later.md": class_page("urn:t:later", "Later")})
    daemon.once(repo.path)
    now = daemon.dump_bytes()
    daemon.run("backup", *HERE)
    for given, whole in (
        (first["path"], then),
        ("latest", now),
        (first["name"], then),
        (first["path"] + ".json", then),
    ):
        ran = daemon.run("restore", given, "--json", *HERE)
        assert ran.code == 0, ran.err
        assert daemon.dump_bytes() == whole
        (line,) = logged(ran)
        assert (line["event"], line["replaced"]) == ("database restored", ran.json["replaced"])
        assert Path(ran.json["replaced"]).is_file()

    before = database.read_bytes()
    ran = daemon.run("restore", "latest", "--dry-run", *HERE)
    assert "would be put at   " in ran.out
    assert logged(ran) == []
    assert database.read_bytes() == before
    assert "what was there    nothing\n" in daemon.run("restore", first["path"], "--database", "new.db").out


@pytest.mark.usefixtures("database")
def test_what_can_not_be_done_is_said(daemon: Daemon) -> None:
    for arguments, code, why in (
        (("backup", "--database", "none.db"), 6, "there is no database at"),
        (("backup", "--list", "--prune", *HERE), 2, "leave out --list"),
        (("restore", "latest", *HERE), 6, "there is no backup of"),
        (("restore", "nothing.gz", *HERE), 6, "there is no backup at nothing.gz"),
        (("restore", "kg.db", *HERE), 6, "is the database itself"),
        (("restore", "kg.db", "--database", "no/such/folder.db"), 6, "is no place for a database"),
    ):
        ran = daemon.run(*arguments)
        assert ran.code == code, (arguments, ran.err)
        assert why in ran.err
        assert "Traceback" not in ran.err
    assert "there is no backup of" in daemon.run("backup", "--list", *HERE).out


@pytest.mark.usefixtures("database")
def test_on_a_terminal_a_bar_shows_what_is_done(daemon: Daemon) -> None:
    code, seen = on_a_terminal(daemon, "backup", *HERE)
    assert code == 0, seen
    assert "compressing" in seen or "copying" in seen or "unpacking" in seen
    assert "backup, verified" in seen
    assert '"event"' not in seen
    assert "backup taken" not in seen
    code, seen = on_a_terminal(daemon, "restore", "latest", *HERE)
    assert code == 0, seen
    assert "put at" in seen
