"""A real systemd as process 1, in a container over an overlay of the host's root: what happens there stays there."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import PROJECT, eventually

NEEDED = ("systemd-nspawn", "nsenter", "unshare", "setpriv", "systemctl")
PYTHON = "/opt/visionflow/bin/run-python"
"""What runs Python in the machine, with the program's packages."""

CLONE_NEWNET = 0x40000000
NO_MOUNT = 77
"""What BOOT ends with where nothing can be mounted."""

BOOT = f"""
for cgroup in $CGROUPS; do echo $$ >"$cgroup/cgroup.procs"; done
mount -t tmpfs -o size=512m,mode=755 visionflow "$PLACE" || exit {NO_MOUNT}
mkdir "$PLACE/upper" "$PLACE/work" "$PLACE/root" && cp -a "$PREPARED/." "$PLACE/upper"
mount -t overlay visionflow -o "lowerdir=/,upperdir=$PLACE/upper,workdir=$PLACE/work" "$PLACE/root" || exit {NO_MOUNT}
exec systemd-nspawn --quiet --directory="$PLACE/root" --register=no --keep-unit --machine="$NAME" --private-network \
    --console=passive --link-journal=no "$@" --boot systemd.unit=basic.target
"""
"""Run in a mount namespace of its own: what it mounts goes with the last process in it, whatever ends that."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The booted container. `pages` is its /srv, `state` its /var/lib/private, both folders of the host."""

    leader: int
    pages: Path
    state: Path

    def path(self, inside: str) -> Path:
        """Give one of its paths, to open; programs that ask where they are find no answer there."""
        return Path(f"/proc/{self.leader}/root{inside}")

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as its root."""
        entered = ["nsenter", "--target", str(self.leader), "--all", *command]
        return subprocess.run(
            entered,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env={"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )

    def ask(self, *command: str, timeout: float = 60) -> str:
        """Run a command that must succeed, and give what it says."""
        done = self.run(*command, timeout=timeout)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        return done.stdout.strip()

    def journal(self, *fields: str) -> list[dict[str, Any]]:
        """Give the entries of the journal in which these fields have these values."""
        self.ask("journalctl", "--sync")
        lines = self.ask("journalctl", "--output=json", "--all", "--no-pager", "--quiet", *fields).splitlines()
        return [json.loads(line) for line in lines]

    @contextmanager
    def network(self) -> Iterator[None]:
        """Have this thread in its network: sockets made meanwhile are on its loopback, and stay there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open() as ours, Path(f"/proc/{self.leader}/ns/net").open() as theirs:
            assert libc.setns(theirs.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(ours.fileno(), CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Boot a machine in which the program is installed as the README has it; skip where that can't be."""
    if os.geteuid() != 0:
        pytest.skip("booting a container needs root")
    for name in NEEDED:
        if shutil.which(name) is None:
            pytest.skip(f"{name} is not installed")
    name = f"visionflow-{os.getpid()}"
    cgroups = _cgroups(name)
    place, prepared, pages, state = (folder / each for each in ("place", "prepared", "pages", "state"))
    for made in (place, pages, state):
        made.mkdir()
    pages.chmod(0o755)
    state.chmod(0o700)
    binds = [f"--bind={pages}:/srv", f"--bind={state}:/var/lib/private", *_install(prepared)]
    environment = {
        "PATH": os.environ["PATH"],
        "PLACE": str(place),
        "PREPARED": str(prepared),
        "NAME": name,
        "CGROUPS": " ".join(map(str, cgroups)),
    }
    # Should we be killed, nspawn is told to shut the machine down.
    command = ["setpriv", "--pdeathsig=TERM", "unshare", "--mount", "sh", "-euc", BOOT, "sh", *binds]
    with (folder / "console").open("wb") as console:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment, start_new_session=True
        )
    try:
        leader = _leader(process, folder / "console")
        yield Machine(leader, pages, state)
    finally:
        _end(process)
        for cgroup in cgroups:
            _remove(cgroup)


def _cgroups(name: str) -> list[Path]:
    """Make a place of its own in the trees of control groups, so that machines don't share one."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        tops = {"": ("unified", ""), "name=systemd": ("systemd",)}.get(controllers, ())
        for top in (Path("/sys/fs/cgroup") / each for each in tops):
            place = top / path.lstrip("/")
            if (place / "cgroup.procs").exists():
                found.append(place / name)
                break
    if not found:
        pytest.skip("systemd's control groups are not mounted")
    for cgroup in found:
        try:
            cgroup.mkdir()
        except OSError as error:
            pytest.skip(f"control groups can't be made here: {error}")
    return found


def _remove(cgroup: Path) -> None:
    """Remove a control group with those in it, once their processes are gone."""

    def removed() -> bool:
        for path, _, _ in os.walk(cgroup, topdown=False):
            with suppress(OSError):
                Path(path).rmdir()
        return not cgroup.exists()

    eventually(removed)


def _install(into: Path) -> list[str]:
    """Lay out what the machine has beyond the host; give nspawn's options for what it is lent.

    The checkout, its virtual environment and the interpreter may be in a home folder, which the unit hides: the
    program is copied to where the README installs it, and the others are bound to places in /opt.
    """
    base, version = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = base if base.parts[:2] == ("/", "usr") else Path("/opt/python")
    home = into / "opt" / "visionflow"
    packages = home / "lib" / version / "site-packages"
    packages.mkdir(parents=True)
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(python / "bin" / version)
    (home / "pyvenv.cfg").write_text(f"home = {python / 'bin'}\ninclude-system-site-packages = false\n")
    (home / "lent").mkdir()
    (packages / "lent.pth").write_text("/opt/visionflow/lent\n")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "visionflow_daemon", packages / "visionflow_daemon", ignore=ignored)
    shutil.copytree(PROJECT / "migrations", packages / "visionflow_daemon" / "migrations", dirs_exist_ok=True)
    program = home / "bin" / "visionflow-daemon"
    program.write_text(f'#!/bin/sh\nexec {PYTHON} -P -m visionflow_daemon "$@"\n')
    runs = into / PYTHON.lstrip("/")  # an interpreter that is lent looks for its library where it was built for
    runs.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH={python}/lib exec /opt/visionflow/bin/python "$@"\n')
    for executable in (program, runs):
        executable.chmod(0o755)
    (into / "usr" / "local" / "bin").mkdir(parents=True)
    (into / "usr" / "local" / "bin" / program.name).symlink_to(f"/opt/visionflow/bin/{program.name}")
    units = into / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for unit in (PROJECT / "systemd").iterdir():
        shutil.copy(unit, units)
    (into / "etc" / "visionflow").mkdir()
    (into / "etc" / "machine-id").write_text("f" * 32 + "\n")  # not the host's: nspawn would join their journals
    lent = [f"--bind-ro={sysconfig.get_path('purelib')}:/opt/visionflow/lent"]
    return [*lent, f"--bind-ro={base}:{python}"] if python != base else lent


def _leader(process: subprocess.Popen[bytes], console: Path) -> int:
    """Wait until systemd has booted; give its process id, as the host counts."""
    deadline = time.monotonic() + 30
    waiter = threading.Event()
    while time.monotonic() < deadline:
        if (code := process.poll()) is not None:
            said = console.read_text(errors="replace").strip()
            pytest.skip(f"{'mounting is not permitted' if code == NO_MOUNT else 'no container boots'} here: {said}")
        for pid in _first_processes(process.pid):
            machine = Machine(pid, console, console)
            if machine.run("systemctl", "is-active", "--quiet", "basic.target").returncode == 0:
                return pid
        waiter.wait(0.02)
    raise AssertionError(console.read_text(errors="replace"))


def _first_processes(parent: int) -> Iterator[int]:
    """Give the children that are process 1 of a namespace of theirs, and have become systemd."""
    with suppress(OSError):
        for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
            with suppress(OSError):
                status = Path(f"/proc/{child}/status").read_text()
                (ids,) = (line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:"))
                if ids[-1] == "1" and len(ids) > 1 and status.startswith("Name:\tsystemd\n"):
                    yield int(child)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Shut the machine down; where it won't, end its first process, and with it all others."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        for first in _first_processes(process.pid):
            os.kill(first, signal.SIGKILL)
        process.kill()
        process.wait()
