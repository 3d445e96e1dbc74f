"""What a pass imports: heavy libraries wait until something needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests import engines
from tests.support import Daemon, Repo, class_page

HEAVY = {
    "rich.console",
    "asyncio.events",
    "cattrs",
    "rdflib",
    "pyhornedowl",
    "tenacity",
    "apscheduler",
    "watchdog",
    "psycopg.connection",
}
if engines.IS_SERVER:
    HEAVY -= {"psycopg.connection", "asyncio.events"}  # they speak to it
    HEAVY -= {"cattrs"}  # it understands settings of the environment, which names the server here
SERVING = {"http.server", "prometheus_client", "visionflow_daemon.ops"}


def imported(daemon: Daemon, *arguments: str) -> set[str]:
    """Run the program, and give the modules that it imported."""
    command = [sys.executable, "-X", "importtime", *daemon.command(*arguments)[1:]]
    done = subprocess.run(command, cwd=daemon.folder, env=daemon.env(), capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_a_pass_over_json_ld_pages_imports_no_heavy_library(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    modules = imported(daemon, "--once", "--source", str(repo.path), "--database", "kg.db")
    assert "structlog.dev" in modules
    assert (HEAVY | SERVING) & modules == set()


@pytest.mark.parametrize("verb", [("failures",), ("failures", "--explain", "A.md"), ("retry",)])
def test_a_verb_about_failures_imports_neither_heavy_libraries_nor_those_of_a_pass(
    repo: Repo, daemon: Daemon, verb: tuple[str, ...]
) -> None:
    repo.commit({"A.md": '```json-ld\n{"@type": "Class", oops}\n```\n'})
    daemon.once(repo.path, expect=3)
    modules = imported(daemon, *verb, "--database", "kg.db")
    assert "visionflow_daemon.storage.ledger" in modules
    of_a_pass = {"structlog", "visionflow_daemon.sync.run", "visionflow_daemon.formats.choose"}
    assert (HEAVY | of_a_pass) & modules == set()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_failing_pass_logs_its_traceback_all_the_same(repo: Repo, daemon: Daemon, log_format: str) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    daemon.once(repo.path)
    script = (
        "import sys; from visionflow_daemon.sync import run\n"
        "def broken(*_): raise ZeroDivisionError('planned')\n"
        "run.make_plan = broken\n"
        "from visionflow_daemon.cli.main import main\n"
        f"sys.argv = ['x', '--once', '--source', {str(repo.path)!r}, '--database', {daemon.database()!r}]\n"
        f"sys.argv += ['--log-format', {log_format!r}]\n"
        "main()"
    )
    lean = "from visionflow_daemon import lean; lean.import_structlog()\n"
    done = subprocess.run(
        [sys.executable, "-c", lean + script],
        cwd=daemon.folder,
        env=daemon.env(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stdout
    assert "planned" in done.stdout


def test_what_structlog_wants_of_asyncio_is_there_when_it_asks() -> None:
    script = (
        "import sys; from visionflow_daemon import lean; lean.import_structlog(); import structlog.stdlib\n"
        "assert 'asyncio' not in sys.modules and 'rich' not in sys.modules\n"
        "import asyncio, structlog\n"
        "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(20))\n"
        "asyncio.run(structlog.get_logger().ainfo('said', by='a coroutine'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "a coroutine" in done.stdout
