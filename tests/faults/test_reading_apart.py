"""Files that a thread can't stop or survive are read in a process of their own: they cost themselves alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from tests import engines
from tests.faults.support import tool
from tests.support import Daemon, Repo, class_page
from tests.test_apart import children_of, wait_until_gone
from tests.test_stops import when

HEAD = "@prefix owl: <http://www.w3.org/2002/07/owl#> .\n@prefix : <urn:t:> .\n"
SETTING = "VISIONFLOW_READING__APART__"


def turtle(classes: int) -> str:
    """Write a Turtle file of so many classes: a million take rdflib a minute."""
    return HEAD + "".join(f':c{at} a owl:Class ; :says "a thing of number {at}" .\n' for at in range(classes))


def pages() -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}") for number in range(20)}


def reason(daemon: Daemon) -> tuple[str, str, str]:
    ((path, failure_class, said),) = daemon.query(
        "SELECT display_path, failure_class, reason FROM source_files WHERE status = 'failed'"
    )
    return path, failure_class, said


def saved(daemon: Daemon) -> int:
    ((count,),) = daemon.query("SELECT COUNT(*) FROM source_files WHERE status = 'saved'")
    return int(count)


def exact(repo: Repo, daemon: Daemon) -> None:
    daemon.environment = {name: value for name, value in daemon.environment.items() if not name.startswith(SETTING)}
    daemon.run("retry", "--database", "kg.db")
    daemon.once(repo.path)
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")


def test_a_file_read_apart_says_the_same(repo: Repo, daemon: Daemon) -> None:
    repo.commit(pages() | {"t.ttl": turtle(50), "bad.md": "```json-ld\n{\n```\n", "note.md": "just text"})
    daemon.once(repo.path, expect=3)
    daemon.environment[SETTING + "FROM_BYTES"] = "0"
    daemon.once(repo.path, database="apart.db", expect=3)
    assert daemon.dump_bytes() == daemon.dump_bytes("apart.db")
    lines = "SELECT display_path, status, failure_class, reason, line FROM source_files ORDER BY path"
    assert daemon.query(lines) == daemon.query(lines, "apart.db")


def test_a_file_that_takes_too_long_is_given_up(repo: Repo, daemon: Daemon) -> None:
    repo.commit(pages() | {"long.ttl": turtle(15_000)})
    daemon.environment |= {SETTING + "FROM_BYTES": "100000", SETTING + "SECONDS": "0.7"}
    daemon.once(repo.path, expect=3)
    path, failure_class, said = reason(daemon)
    assert (path, failure_class, saved(daemon)) == ("long.ttl", "page", 20)
    assert said.startswith("reading it takes longer than 0.7 seconds: make it smaller, or raise reading.apart.seconds")
    exact(repo, daemon)


def test_a_file_that_takes_too_much_memory_is_given_up(repo: Repo, daemon: Daemon) -> None:
    repo.commit(pages() | {"large.ttl": turtle(80_000)})
    daemon.environment |= {SETTING + "FROM_BYTES": "100000", SETTING + "MEMORY_BYTES": str(256 << 20)}
    daemon.once(repo.path, expect=3)
    assert reason(daemon) == ("large.ttl", "transient", "the file needs more memory than there is")
    assert saved(daemon) == 20


def nested(levels: int) -> str:
    inner = "ObjectIntersectionOf(:A " * levels + ":B" + ")" * levels
    return f"Prefix(:=<urn:t:>)\nOntology(<urn:t:o>\nDeclaration(Class(:A))\nSubClassOf(:A {inner})\n)\n"


def test_a_page_that_crashes_the_process_is_met_apart_by_the_next_pass(repo: Repo, daemon: Daemon) -> None:
    """A small stack makes a crash of what is read well otherwise."""
    repo.commit(pages() | {"crash.ofn": nested(190)})
    narrow = replace(daemon, under=tool("prlimit", "--stack=200000"))
    codes = [narrow.run("--once", "--source", repo.path, "--database", "kg.db").code for _ in range(2)]
    assert codes in ([-signal.SIGSEGV, 3], [-signal.SIGABRT, 3])
    path, failure_class, said = reason(daemon)
    assert (path, failure_class, saved(daemon)) == ("crash.ofn", "page", 20)
    assert said.startswith("the parser crashes on it: its process was ended by SIG")
    exact(repo, daemon)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_pass_that_ends_while_a_file_is_read_apart_leaves_no_process(
    repo: Repo, daemon: Daemon, number: signal.Signals
) -> None:
    repo.commit(pages() | {"long.ttl": turtle(25_000)})
    process = daemon.start("--once", "--source", repo.path, "--database", "kg.db")
    when(lambda: bool(children_of(process.pid)), process)
    children = children_of(process.pid)
    process.send_signal(number)
    process.communicate(timeout=10)
    wait_until_gone(children)
    daemon.once(repo.path)
    assert saved(daemon) == 21


def test_a_stop_that_reaches_all_processes_puts_no_file_into_the_ledger(repo: Repo, daemon: Daemon) -> None:
    """As systemd and terminals send it."""
    repo.commit(pages() | {"long.ttl": turtle(25_000)})
    command = daemon.command("--once", "--source", repo.path, "--database", "kg.db")
    with subprocess.Popen(command, cwd=daemon.folder, env=daemon.env(), start_new_session=True) as process:
        when(lambda: bool(children_of(process.pid)), process)
        threading.Event().wait(0.2)  # the child has to have come so far as to ignore it
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=10) == 1
    assert daemon.query("SELECT COUNT(*) FROM source_files WHERE status = 'failed'") == [(0,)]
    daemon.once(repo.path)
    assert saved(daemon) == 21


def test_a_repository_of_another_owner_is_read_apart_too(repo: Repo, daemon: Daemon) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving files away needs root")
    repo.commit(pages())
    for path in [repo.path, *repo.path.rglob("*")]:
        os.chown(path, 65_534, 65_534)
    daemon.environment[SETTING + "FROM_BYTES"] = "0"
    daemon.once(repo.path)
    assert saved(daemon) == 20


def test_where_no_process_can_be_started_a_careful_pass_reads_without(repo: Repo, daemon: Daemon) -> None:
    repo.commit(pages())
    daemon.once(repo.path)
    with engines.Connected(daemon.folder / "kg.db") as connection:
        connection.execute("UPDATE sync_runs SET status = 'running'")
        connection.execute("UPDATE checkpoints SET is_clean = 0")
    repo.commit({"p0.md": class_page("urn:t:0", "changed")})
    starter = "import sys, runpy; runpy.run_module('visionflow_daemon.__main__', run_name='__main__')"
    command = [sys.executable, "-c", f"import sys; sys.executable = '/nowhere/python'; {starter}"]
    arguments = ["--once", "--source", str(repo.path), "--database", daemon.database()]
    done = subprocess.run([*command, *arguments], cwd=daemon.folder, env=daemon.env(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b'"pages are read without care"' in done.stdout
    assert daemon.query("SELECT label FROM owl_classes WHERE class_iri = 'urn:t:0'") == [("changed",)]
