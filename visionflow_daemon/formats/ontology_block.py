"""OntologyBlock pages: Logseq outlines whose `### OntologyBlock` names a class and says things of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import iri, markdown, outline
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.outline import Line, Said
from visionflow_daemon.model import NameRank, Reading

HEAD = re.compile(r"#{1,6}[ \t]+OntologyBlock\b")
IDENTITY, LABEL, COMMENT = "owl:class", "preferred-term", "definition"


def matches(text: str) -> bool:
    """Tell an OntologyBlock page by its heading."""
    return "OntologyBlock" in text and any(map(_is_head, outline.lines(text)))


def read(text: str, reading: Reading) -> PageBuilder:
    """Read a page that `matches`. Raises PageError for a class that has no valid IRI."""
    page = PageBuilder("ontology-block", reading)
    namespace = None
    for head, block in _blocks(list(outline.lines(text))):
        namespace = _read_block(page, head, list(outline.properties(block))) or namespace
    outline.add_axioms(page, text, namespace)
    outline.add_page(page, text)
    return page


def _blocks(lines: list[Line]) -> Iterator[tuple[Line, list[Line]]]:
    """Give each OntologyBlock with its lines: all that is indented below it, and properties right beside it.

    Where another block begins it ends: a block within a block is another class's, and no line is of two classes.
    """
    head: Line | None = None
    block: list[Line] = []
    for line in lines:
        if _is_head(line):
            if head is not None:
                yield head, block
            head, block = line, []
        elif head is not None and _is_beyond(line, head):
            yield head, block
            head = None
        elif head is not None:
            block.append(line)
    if head is not None:
        yield head, block


def _is_beyond(line: Line, head: Line) -> bool:
    """Tell whether a line ends the block of a head."""
    if line.indent > head.indent:
        return False
    return line.is_heading or (line.is_bullet and markdown.PROPERTY.match(line.text) is None)


def _is_head(line: Line) -> bool:
    return "OntologyBlock" in line.text and HEAD.match(line.content) is not None


def _read_block(page: PageBuilder, head: Line, block: list[Said]) -> str | None:
    """Read one block, and give the namespace of its class."""
    first: dict[str, Said] = {}
    for said in block:
        if said.value:
            first.setdefault(said.name, said)
    if IDENTITY not in first:
        page.warn(f"an OntologyBlock without {IDENTITY}::, nothing of it is kept but its axioms", head.number)
        return None
    identity = first[IDENTITY]
    name = identity.value.strip("`")
    class_iri = iri.expand(name, page.reading.prefixes)
    if class_iri is None:
        raise PageError(f"{IDENTITY}:: {iri.shorten(name)!r} is no IRI, or its prefix is not declared", identity.line)
    label, comment = first.get(LABEL), first.get(COMMENT)
    used = {id(said) for said in (identity, label, comment)}
    relations = [said for said in block if outline.is_relation(said, page)]
    used |= {id(said) for said in relations}
    page.add_class(
        class_iri,
        label.value if label else None,
        outline.unquoted(comment.value) if comment else None,
        outline.as_written(said for said in block if id(said) not in used),
        identity.line,
    )
    if label:
        page.add_name(label.value, NameRank.PREFERRED_TERM)
    if "alias" in first:
        for alias in markdown.aliases(first["alias"].value):
            page.add_name(alias, NameRank.ALIAS)
    if "public-access" in first:
        page.is_public = page.is_public or markdown.is_true(first["public-access"].value)
    namespace = outline.namespace_for(name, class_iri, page)
    for said in relations:
        outline.add_relations(page, said, class_iri, namespace)
    return namespace
