"""The wheel: built, installed away from the checkout, and run from there."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from tests.support import PROJECT, Repo, class_page

COPIED = ("visionflow_daemon", "migrations", "pyproject.toml", "README.md", "LICENSE")


def pip(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, so that the checkout is left as it is."""
    if pip("--version", cwd=PROJECT).returncode:
        pytest.skip("pip is not installed")
    sources, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in COPIED:
        subprocess.run(["cp", "-r", str(PROJECT / name), str(sources)], check=True)
    done = pip("wheel", ".", "--no-deps", "--wheel-dir", target, cwd=sources)
    if done.returncode and ("hatchling" in done.stderr + done.stdout or "build dependencies" in done.stderr):
        pytest.skip("the build backend, hatchling, can't be had here")
    assert done.returncode == 0, done.stderr
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into."""
    folder = tmp_path_factory.mktemp("installed")
    done = pip("install", "--no-deps", "--no-index", "--target", folder, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def run(installed: Path, cwd: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "LANG": "C.UTF-8", "PYTHONPATH": str(installed)}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_wheel_holds_the_program_its_migrations_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    migrations = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "migrations").glob("*/*.sql"))
    inside = sorted(name for name in names if name.startswith("visionflow_daemon/migrations/"))
    assert inside == [f"visionflow_daemon/{name}" for name in migrations]
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"visionflow_daemon"}
    assert not [name for name in names if "__pycache__" in name or "/tests/" in name]


def test_the_installed_program_makes_a_database_by_the_migrations_of_its_wheel(
    installed: Path, tmp_path: Path, repo: Repo
) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    where = "import visionflow_daemon as v; print(v.__file__)"
    found = Path(run(installed, tmp_path, [sys.executable, "-c", where]).stdout.strip())
    assert found == installed / "visionflow_daemon" / "__init__.py"
    assert not (installed / "migrations").exists()
    command = [sys.executable, "-m", "visionflow_daemon", "--once", "--source", str(repo.path), "--database", "kg.db"]
    done = run(installed, tmp_path, command)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["event"] == "migration applied"
    connection = sqlite3.connect(f"file:{tmp_path / 'kg.db'}?mode=ro", uri=True)
    try:
        assert connection.execute("SELECT class_iri, label FROM owl_classes").fetchall() == [("urn:t:a", "A")]
        (version,) = connection.execute("SELECT MAX(version) FROM schema_migrations").fetchone()
    finally:
        connection.close()
    assert version == max(int(path.name[:4]) for path in (PROJECT / "migrations" / "sqlite").glob("*.sql"))


def test_an_installed_program_without_its_migrations_says_so(installed: Path, tmp_path: Path) -> None:
    maimed = tmp_path / "maimed"
    subprocess.run(["cp", "-r", str(installed), str(maimed)], check=True)
    (maimed / "visionflow_daemon" / "migrations").rename(tmp_path / "taken")
    done = run(maimed, tmp_path, [sys.executable, "-m", "visionflow_daemon", "migrate", "--database", "kg.db"])
    assert done.returncode == 6
    assert done.stderr == "visionflow-daemon: the program's migrations are missing: install it again\n"


def test_the_console_script_is_there_and_knows_its_version(installed: Path, tmp_path: Path) -> None:
    (info,) = installed.glob("visionflow_daemon-*.dist-info")
    distribution = PathDistribution(info)
    scripts = {point.name: point.value for point in distribution.entry_points if point.group == "console_scripts"}
    assert scripts == {"visionflow-daemon": "visionflow_daemon.cli.main:main"}
    done = run(installed, tmp_path, [str(installed / "bin" / "visionflow-daemon"), "--version"])
    assert (done.returncode, done.stdout) == (0, f"visionflow-daemon, version {distribution.version}\n"), done.stderr


def test_the_wheel_takes_the_pythons_that_the_project_names(wheel: Path, installed: Path) -> None:
    (info,) = installed.glob("visionflow_daemon-*.dist-info")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert (info / "METADATA").read_text("utf-8").count("\nRequires-Python: <3.14,>=3.11\n") == 1
