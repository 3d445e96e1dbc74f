"""Names for anonymous individuals, made of what is said of them: a counter's names would differ at every reading."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256

from visionflow_daemon.formats.expression import UNORDERED, Stated, Tree, atoms, canonical, render

LABEL = re.compile(r"_:\S+\Z")
WIDE = 4
"""Blank nodes above which a statement is read once for all of them, and tells none its place in it: reading it for
each would cost the square of their number."""
ORDERING = re.compile(rf"\b(?:{'|'.join(sorted({*UNORDERED, 'DisjointUnion', 'HasKey'}))})\(")
"""What tells that the names in a statement decide on the order of its parts."""
ROUNDS = 8
"""How far from a blank node what is said of others still tells it from its like."""


class _Mention:
    """A statement that names blank nodes; `shared` is what a wide one says to all of them in a round."""

    def __init__(self, tree: Tree, *, is_wide: bool) -> None:
        self.tree = tree
        self.is_wide = is_wide
        self.shared = ""
        marked = render(canonical(_with(tree, lambda label: f"\0{label}\0")))
        self._pieces = None if ORDERING.search(marked) or "\0" in render(tree) else marked.split("\0")

    def said(self, label: str, colours: Mapping[str, str]) -> str:
        """Write the statement as it looks from one blank node, the others by their colours."""

        def name(other: str) -> str:
            return "_:this" if other == label else f"_:{colours[other]}"

        if self._pieces is None:
            return render(canonical(_with(self.tree, name)))
        pieces = self._pieces.copy()
        pieces[1::2] = map(name, pieces[1::2])
        return "".join(pieces)


def scoped(found: Sequence[Stated], document: int) -> Sequence[Stated]:
    """Keep the blank nodes of one document apart from those of the same label in another one."""
    if not any(True for stated in found for tree in (stated.tree, *stated.annotations) for _ in _labels(tree)):
        return found
    return _all_with(found, lambda label: f"{label}-{document}")


def renamed(found: Sequence[Stated]) -> Sequence[Stated]:
    """Rename the blank nodes of statements by content: the same statements give the same names, whatever their labels.

    Nodes that `ROUNDS` of refinement leave alike are numbered in the order in which they first come up, so that two
    of them never become one.
    """
    trees = [("", stated.tree, *stated.annotations) for stated in found]
    mentions: dict[str, list[_Mention]] = defaultdict(list)
    for tree in trees:
        labels = dict.fromkeys(_labels(tree))
        mention = _Mention(tree, is_wide=len(labels) > WIDE)
        for label in labels:
            mentions[label].append(mention)
    if not mentions:
        return found
    names = _told_apart(_refined(mentions), mentions)
    return _all_with(found, names.__getitem__)


def _all_with(found: Sequence[Stated], rename: Callable[[str], str]) -> Sequence[Stated]:
    return [
        Stated(_with(stated.tree, rename), tuple(_with(each, rename) for each in stated.annotations), stated.line)
        for stated in found
    ]


def _refined(mentions: Mapping[str, list[_Mention]]) -> dict[str, str]:
    """Give each node the digest of all that is said of it, where other nodes stand by theirs."""
    colours = dict.fromkeys(mentions, "")
    distinct = 1
    wide = {id(mention): mention for said in mentions.values() for mention in said if mention.is_wide}
    for _ in range(ROUNDS):
        for mention in wide.values():
            mention.shared = _digest(mention.said("", colours))
        colours = {label: _colour(label, said, colours) for label, said in mentions.items()}
        before, distinct = distinct, len(set(colours.values()))
        if distinct in {before, len(colours)}:
            break
    return colours


def _colour(label: str, said: Sequence[_Mention], colours: Mapping[str, str]) -> str:
    texts = sorted(mention.shared if mention.is_wide else mention.said(label, colours) for mention in said)
    if any(mention.is_wide for mention in said):
        texts.append(colours[label])
    return _digest("\n".join(texts))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:20]


def _told_apart(colours: Mapping[str, str], order: Iterable[str]) -> dict[str, str]:
    alike: dict[str, int] = defaultdict(int)
    names = {}
    for label in order:
        colour = colours[label]
        names[label] = f"_:b{colour}" + (f"-{alike[colour]}" if alike[colour] else "")
        alike[colour] += 1
    return names


def _labels(tree: Tree) -> Iterator[str]:
    return (atom for atom in atoms(tree) if atom.startswith("_") and LABEL.match(atom))


def _with(tree: Tree, name: Callable[[str], str]) -> Tree:
    if isinstance(tree, str):
        return name(tree) if tree.startswith("_:") and LABEL.match(tree) else tree
    return (tree[0], *(_with(operand, name) for operand in tree[1:]))
