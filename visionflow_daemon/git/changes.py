"""What a tree holds, and what changed between two of them: paths as bytes, in the order of bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pathspec
import pygit2
from pygit2.enums import DeltaStatus, DiffOption, FileMode

from visionflow_daemon.errors import ConfigError
from visionflow_daemon.git import rollout
from visionflow_daemon.git.repository import KINDS, objects_read
from visionflow_daemon.model import PATH_BYTES, EntryKind, TreeEntry

Selects = Callable[[bytes], bool]
"""Tells whether a path belongs to the source."""


def selection(include: Sequence[str], exclude: Sequence[str], rollout_percent: float = rollout.ALL) -> Selects:
    """Make the test for a source's paths: of its globs, which are read as in .gitignore, and of the share that is live.

    A path of more than `PATH_BYTES` belongs to no source: half of what Linux can name, and more than others can.
    Raises ConfigError.
    """
    included = _globs(include)
    excluded = _globs(exclude)
    is_live = rollout.share(rollout_percent)

    def selects(path: bytes) -> bool:
        if len(path) > PATH_BYTES or not is_live(path):
            return False
        text = path.decode("utf-8", "surrogateescape")
        return included.match_file(text) and not excluded.match_file(text)

    return selects


def _globs(lines: Sequence[str]) -> pathspec.PathSpec[pathspec.Pattern]:
    try:
        return pathspec.PathSpec.from_lines("gitignore", lines)
    except ValueError as error:
        raise ConfigError(f"a glob that can't be understood: {error}") from error


def walk(repository: pygit2.Repository, treeish: str, selects: Selects) -> Iterator[TreeEntry]:
    """Give the selected entries of a tree, or of a commit's, in the order of their paths' bytes.

    git sorts a tree as if folders ended in a slash, so that a walk in depth gives that order by itself.
    """
    with objects_read():
        yield from _walk(repository, treeish, selects)


def _walk(repository: pygit2.Repository, treeish: str, selects: Selects) -> Iterator[TreeEntry]:
    stack = [(b"", iter(repository[treeish].peel(pygit2.Tree)))]
    while stack:
        prefix, entries = stack[-1]
        entry = next(entries, None)
        if entry is None:
            stack.pop()
            continue
        path = prefix + (entry.raw_name or b"")
        if entry.filemode == FileMode.TREE:
            stack.append((path + b"/", iter(repository[entry.id].peel(pygit2.Tree))))
        elif selects(path):
            yield _entry(path, entry.id, entry.filemode)


def find(repository: pygit2.Repository, treeish: str, path: bytes) -> TreeEntry | None:
    """Find one path in a tree, or in a commit's. Raises ObjectError where a tree can't be read."""
    with objects_read():
        return _find(repository, treeish, path)


def _find(repository: pygit2.Repository, treeish: str, path: bytes) -> TreeEntry | None:
    tree = repository[treeish].peel(pygit2.Tree)
    *folders, name = path.split(b"/")
    for folder in folders:
        child = _child(tree, folder)
        if child is None or child.filemode != FileMode.TREE:
            return None
        tree = repository[child.id].peel(pygit2.Tree)
    found = _child(tree, name)
    return None if found is None or found.filemode == FileMode.TREE else _entry(path, found.id, found.filemode)


def diff(
    repository: pygit2.Repository, old: str, new: str, selects: Selects
) -> Iterator[tuple[bytes, TreeEntry | None]]:
    """Give the selected paths that differ between two commits or trees, each with its new entry; None where it is gone.

    A rename is a path that is gone and a path that came. A path whose mode alone changed is not among them, unless
    a file became a symlink, or the reverse.
    """
    flags = DiffOption.INCLUDE_TYPECHANGE | DiffOption.SKIP_BINARY_CHECK
    old_tree = repository[old].peel(pygit2.Tree)
    for delta in old_tree.diff_to_tree(repository[new].peel(pygit2.Tree), flags=flags, context_lines=0).deltas:
        if delta.status == DeltaStatus.DELETED:
            if selects(delta.old_file.raw_path):
                yield delta.old_file.raw_path, None
        elif selects(delta.new_file.raw_path):
            same_content = delta.old_file.id == delta.new_file.id
            if not same_content or _kind(delta.old_file.mode) != _kind(delta.new_file.mode):
                yield delta.new_file.raw_path, _entry(delta.new_file.raw_path, delta.new_file.id, delta.new_file.mode)


def _child(tree: pygit2.Tree, name: bytes) -> pygit2.Object | None:
    return next((entry for entry in tree if entry.raw_name == name), None)


def _entry(path: bytes, oid: pygit2.Oid, mode: int) -> TreeEntry:
    return TreeEntry(path, str(oid), _kind(mode))


def _kind(mode: int) -> EntryKind:
    return KINDS.get(FileMode(mode), EntryKind.BLOB) if mode in KINDS else EntryKind.BLOB
