"""Which files git ignores in a work tree: https://git-scm.com/docs/gitignore.

Read here, since libgit2 1.9 does not let a folder's .gitignore take back what one above it ignores.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pathspec import GitIgnoreSpec

from visionflow_daemon.git import disk
from visionflow_daemon.git.repository import shared_folder

NAME = b".gitignore"
MOST_BYTES = 1_000_000
"""Of a file of patterns; a larger one is not read."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns of one file, for paths below a folder."""

    prefix: bytes
    spec: GitIgnoreSpec


@dataclass(frozen=True, slots=True)
class Ignored:
    """The rules that hold in a folder; those further back, of deeper folders, go before.

    `is_all`: the folder is ignored itself, and then no rule takes anything in it back.
    """

    rules: tuple[Rules, ...] = ()
    is_all: bool = False

    def within(self, descriptor: int, prefix: bytes) -> Ignored:
        """Add the rules that a folder itself has, opened as `descriptor`; one that can't be read has none."""
        return self if self.is_all else self.with_rules(_patterns(NAME, descriptor), prefix)

    def hides(self, path: bytes) -> bool:
        """Tell whether git ignores a path that it does not track; that of a folder ends in a slash."""
        for each in reversed(self.rules):
            found = each.spec.check_file(path[len(each.prefix) :].decode("utf-8", "surrogateescape"))
            if found.include is not None:
                return found.include
        return self.is_all

    def with_rules(self, data: bytes, prefix: bytes = b"") -> Ignored:
        """Add the rules of a file's patterns, for paths below a folder."""
        return Ignored((*self.rules, Rules(prefix, _spec(data)))) if data.strip() else self


def ignored_in(repository: pygit2.Repository) -> Ignored:
    """Give the rules that hold everywhere in a work tree: those of the user, and those of the repository alone."""
    found = Ignored()
    for path in (_of_user(repository.config), shared_folder(repository) / "info" / "exclude"):
        found = found.with_rules(_patterns(os.fsencode(path.resolve())))
    return found


def _of_user(config: pygit2.Config) -> Path:
    if "core.excludesfile" in config:
        return Path(str(config["core.excludesfile"])).expanduser()
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "git" / "ignore"


def _patterns(name: bytes, within: int | None = None) -> bytes:
    """Read a file of patterns; as git does with those of folders, through no link."""
    try:
        return disk.read_now(name, within, MOST_BYTES)
    except OSError:
        return b""


def _spec(data: bytes) -> GitIgnoreSpec:
    lines = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape").split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    try:
        return GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return GitIgnoreSpec.from_lines(line for line in lines if _is_pattern(line))


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True
