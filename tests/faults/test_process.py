"""The fault matrix, the process's rows: memory, threads, open files, and nobody who reads the log."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import engines
from tests.engines import assert_sound
from tests.faults.support import Scene, as_nobody, owned_by_nobody, rarely, tool
from tests.support import Daemon, Repo, class_page, eventually

BIG = {"VISIONFLOW_READING__LIMITS__PAGE_BYTES": "200000000"}
MB = 1_000_000
OF_DRIVER = 60 if engines.IS_SERVER else 0
"""Megabytes of address space that the driver of a server takes, with the stack of the thread that renews leases."""


# Memory


@pytest.fixture
def big(scene: Scene) -> Scene:
    """A scene whose second commit holds a page of 60 MB in the middle of the others."""
    scene.repo.commit({"p0060b.md": class_page("urn:t:big", "Big") + "text " * 12_000_000})
    scene.daemon.environment.update(BIG)
    return scene


@pytest.mark.parametrize("megabytes", [100, *rarely(130)])
def test_a_page_for_which_memory_does_not_suffice_is_in_the_ledger_and_all_others_are_saved(
    big: Scene, megabytes: int
) -> None:
    limit = tool("prlimit", f"--as={(megabytes + OF_DRIVER) * MB}")
    ran = big.run(*limit, arguments=("--workers", "1"))
    assert ran.code == 3, (ran.out, ran.err)
    assert ran.err == ""
    failed = ran.event("file failed")
    assert (failed["path"], failed["failure_class"]) == ("p0060b.md", "transient")
    assert failed["reason"] == "the file needs more memory than there is"
    assert ran.event("pass finished")["saved"] == len(big.target)  # the limit is a rule of reading: all are read anew
    assert_sound(big.database)
    ledger = big.daemon.run("failures", "--database", str(big.database)).out
    assert ledger == "p0060b.md: the file needs more memory than there is\n"
    assert big.heals("--full").event("pass finished")["ledger"] == 0


def test_memory_that_is_short_for_the_whole_process_loses_nothing(big: Scene) -> None:
    """From too little to start at all, to just enough: whatever the pass meets, it ends, and nothing is lost."""
    codes = set()
    big.daemon.environment |= {"VISIONFLOW_BREAKER__COOL_DOWN": "0"}  # passes that fail before it may open breakers
    for megabytes in range(75, 255, 15):
        ran = big.run(*tool("prlimit", f"--as={megabytes * MB}"), arguments=("--workers", "8"))
        codes.add(ran.code)
        assert_sound(big.database)
        kept = {path: blob for path, blob in big.files_before.items() if path in big.target}
        held = big.daemon.query("SELECT display_path FROM source_files WHERE status <> 'failed'", str(big.database))
        assert {path for (path,) in held} >= set(kept)
        failed = big.daemon.query(
            "SELECT DISTINCT failure_class FROM source_files WHERE status = 'failed'", str(big.database)
        )
        assert failed in ([], [("transient",)])  # each is tried again, when there is memory
        if ran.code == 3:
            break
    assert 3 in codes, codes
    big.heals("--full")


# Threads


@pytest.mark.parametrize("workers", [*rarely(1), 8])
def test_no_thread_can_be_started(open_folder: Path, workers: int) -> None:
    under = as_nobody()
    scene = Scene(Repo(open_folder / "source.git"), Daemon(open_folder), open_folder / "kg.db")
    owned_by_nobody(open_folder)
    scene.daemon.under = under
    ran = scene.run(*tool("prlimit", "--nproc=1"), *under, arguments=("--workers", str(workers)))
    assert "TasksMax=" in ran.err
    thread = "thread that renews leases" if engines.IS_SERVER else "worker thread"
    scene.survives(ran, 6, f"the system lets no {thread} start (can't start new thread)")


def test_fewer_threads_than_wanted_do_it_all(open_folder: Path) -> None:
    under = as_nobody()
    scene = Scene(Repo(open_folder / "source.git"), Daemon(open_folder), open_folder / "kg.db")
    owned_by_nobody(open_folder)
    scene.daemon.under = under
    ran = scene.run(*tool("prlimit", "--nproc=4"), *under, arguments=("--workers", "8"))
    assert ran.code == 0, (ran.out, ran.err)
    fewer = ran.event("fewer workers than wanted")
    assert 1 <= fewer["started"] <= 3
    assert fewer["wanted"] == 8
    scene.keeps()
    scene.heals()


def test_where_threads_are_few_passes_wait_for_each_other(open_folder: Path) -> None:
    under = as_nobody()
    daemon = Daemon(open_folder)
    text = 'database = "kg.db"\n[daemon]\ninterval = 0.3\npoll = 0.1\n'
    for number in range(20):
        repo = Repo(open_folder / f"{number}.git")
        repo.commit({f"p{more}.md": class_page(f"urn:t:{more}", f"P{more}") for more in range(20)})
        text += f'[[sources]]\nlocation = "{repo.path}"\nontology_id = "o{number}"\n'
    (open_folder / "config.toml").write_text(text)
    owned_by_nobody(open_folder)
    few = 115 if engines.IS_SERVER else 110  # five for each source, and what the daemon itself needs
    daemon.under = (*tool("prlimit", f"--nproc={few}"), *under)
    with daemon.running("--config", "config.toml") as running:
        eventually(lambda: running.count("pass finished") >= 20, 60)
        assert running.end() == 0
    done = {line["ontology_id"] for line in running.events if line["event"] == "pass finished"}
    assert len(done) == 20
    assert [line["reason"] for line in running.events if line["event"] == "pass failed"] == []
    assert running.count("pass waits") > 0


# Open files


def loose(repo: Repo) -> None:
    """Take the packs of a repository apart, so that each blob is a file to be opened."""
    for pack in [*(repo.path / "objects" / "pack").glob("*.pack")]:
        moved = repo.path / pack.name
        pack.rename(moved)
        pack.with_suffix(".idx").unlink()
        with moved.open("rb") as data:
            subprocess.run(["git", "unpack-objects", "-q"], cwd=repo.path, stdin=data, check=True)
        moved.unlink()


@pytest.mark.parametrize("is_loose", [False, True], ids=["packed", "loose"])
def test_too_few_open_files_end_the_pass_and_no_page_is_to_blame(scene: Scene, *, is_loose: bool) -> None:
    if is_loose:
        loose(scene.repo)
    codes = {}
    for limit in (6, 8, 9, 10, 11, 12, 13, 14, 15, 16):
        ran = scene.run(*tool("prlimit", f"--nofile={limit}"))
        codes[limit] = ran.code
        assert ran.code in {0, 6}, (limit, ran.out, ran.err)
        if ran.code:
            assert "open files" in ran.err, (limit, ran.err)
            assert "Traceback" not in ran.err
            scene.survives(ran, 6, "", event="pass failed" if ran.out else "", heal=False)
        if ran.code == 0:
            break
    assert set(codes.values()) == {0, 6}, codes
    scene.heals()


@pytest.mark.sqlite
@pytest.mark.parametrize("size", [*rarely(40_000), 90_000])
def test_a_limit_of_file_sizes(scene: Scene, size: int) -> None:
    """The log of the database may grow to so many bytes."""
    ran = scene.run(*tool("prlimit", f"--fsize={size}"))
    assert "the limit of file sizes" in ran.err
    scene.survives(ran, 6, "disk I/O error", event="pass failed" if ran.out else "")


# The log


def once_into(scene: Scene, redirection: str) -> tuple[list[int], str]:
    """Run the second pass in a shell that redirects its output; give the codes of its pipe, and stderr."""
    run = subprocess.list2cmdline(
        scene.daemon.command("--once", "--source", scene.repo.path, "--database", scene.database)
    )
    done = subprocess.run(
        ["bash", "-c", f'{run} {redirection}; echo "${{PIPESTATUS[@]}}" >codes'],
        cwd=scene.daemon.folder,
        env=scene.daemon.env(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    codes = (scene.daemon.folder / "codes").read_text().split()
    return [int(code) for code in codes], done.stderr


@pytest.mark.parametrize(
    ("redirection", "says"),
    [
        (">/dev/full", "the log can't be written (No space left on device); the work goes on without it"),
        ("| true", "the log can't be written (Broken pipe); the work goes on without it"),
        ("--log-level debug | head -n 1 >/dev/null", "the log can't be written (Broken pipe)"),
        (">&-", ""),
        (">&- 2>&- <&-", ""),
        (">/dev/full 2>/dev/full", ""),
    ],
)
def test_a_log_that_nobody_takes_fails_no_file(scene: Scene, redirection: str, says: str) -> None:
    codes, err = once_into(scene, redirection)
    assert codes[0] == 0, err
    assert err.count("visionflow-daemon:") == bool(says) or "| true" in redirection
    assert says in err or "| true" in redirection  # `true` may be gone before, or after the last line
    scene.keeps()
    assert scene.heals().events[0]["event"] == "nothing to do"


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "2>&1 >/dev/null | true", ">/dev/full 2>&1"])
def test_the_code_of_a_pass_that_fails_does_not_hang_on_whether_its_message_can_be_told(
    scene: Scene, redirection: str
) -> None:
    if engines.IS_SERVER:
        scene.daemon.environment |= {"VISIONFLOW_DATABASE_PASSWORD": "another"}
    else:
        scene.database.unlink()
        scene.database.mkdir()
    assert once_into(scene, redirection)[0][0] == 6


@pytest.mark.parametrize("verb", ["dump", "status", "failures"])
def test_an_answer_that_cannot_be_written_is_told_and_no_success(scene: Scene, verb: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*scene.daemon.command(verb, "--database", scene.database), *(["--json"] if verb == "failures" else [])],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
            cwd=scene.daemon.folder,
            env=scene.daemon.env(),
        )
    assert done.returncode == 1
    assert done.stderr == b"visionflow-daemon: the system refuses: [Errno 28] No space left on device\n"
