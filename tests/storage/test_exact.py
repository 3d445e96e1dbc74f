"""The database is a function of the map of paths to pages: whatever order and history led to it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import engines
from visionflow_daemon.model import Axiom, ClassFact, Link, NameRank, Page, PageName, PropertyFact
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.writer import Content, Failure, Writer

IRIS = [f"urn:c:{letter}" for letter in "abcdef"]
NAMES = ["one", "two", "three"]
PATHS = [b"A.md", b"B.md", b"a/b.md", b"\xff.md", "é.md".encode()]
RELATIONS = ["urn:p:1", "urn:p:2"]

iri = st.sampled_from(IRIS)
parent = st.builds(lambda subject, target: Axiom("SubClassOf", subject, target, is_parent=True), iri, iri)
relation = st.builds(
    lambda subject, name, kind, target: Axiom(f"{kind}PropertyAssertion", subject, target, name, f"{kind}Property"),
    iri,
    st.sampled_from(RELATIONS),
    st.sampled_from(["Object", "Data"]),
    iri,
)
link = st.builds(
    lambda subject, name, minted, relation: Link(
        "ObjectPropertyAssertion" if relation else "SubClassOf", subject, name, minted, relation
    ),
    st.sampled_from(IRIS[:2]),
    st.sampled_from(NAMES),
    st.sampled_from([*IRIS[:3], None]),
    st.sampled_from([None, *RELATIONS[:1]]),
)
declared = st.builds(ClassFact, iri, st.sampled_from([None, "x", "y"]), st.sampled_from([None, "said"]))
described = st.builds(
    PropertyFact,
    st.sampled_from(RELATIONS),
    st.sampled_from(["ObjectProperty", "DataProperty"]),
    domain=st.none() | iri,
)


def _distinct(values: Iterable[object], key: str) -> tuple[object, ...]:
    return tuple({getattr(value, key): value for value in values}.values())


@st.composite
def pages(draw: st.DrawFn) -> Page:
    """Draw what a file might say: classes, parents, relations, links, names."""
    classes = _distinct(draw(st.lists(declared, max_size=3)), "iri")
    names = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(NameRank)), max_size=2))
    return Page(
        "test",
        classes=classes,  # type: ignore[arg-type]
        properties=_distinct(draw(st.lists(described, max_size=1)), "iri"),  # type: ignore[arg-type]
        axioms=tuple(dict.fromkeys(draw(st.lists(st.one_of(parent, relation), max_size=4)))),
        links=tuple(dict.fromkeys(draw(st.lists(link, max_size=4)))),
        names=tuple(PageName(name, rank) for name, rank in names.items()),
        is_public=draw(st.booleans()),
    )


steps = st.lists(st.tuples(st.sampled_from(PATHS), st.none() | pages() | st.just("failed")), max_size=12)


def database_in(folder: str, name: str) -> Database:
    return engines.migrated(Path(folder) / name)


def blob_of(page: Page) -> str:
    return hashlib.sha1(repr(page).encode()).hexdigest()  # noqa: S324 - stands for a git blob id


@settings(max_examples=engines.examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=steps, order=st.randoms(use_true_random=False))
def test_any_history_ends_as_a_fresh_database_fed_the_same_files(
    history: list[tuple[bytes, object]], order: object
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lived = database_in(folder, "lived.db")
        writer = Writer(lived, "o", lambda: "2026-01-01T00:00:00Z")
        held: dict[bytes, Page] = {}
        for path, page in history:
            if page is None:
                writer.delete(path)
                held.pop(path, None)
            elif isinstance(page, Page):
                writer.save(Content(path, blob_of(page), "d"), page)
                held[path] = page
            else:
                writer.fail(Content(path, "0" * 40, "d"), Failure("page", "broken"))
        fresh = database_in(folder, "fresh.db")
        again = Writer(fresh, "o", lambda: "2027-01-01T00:00:00Z")
        paths = sorted(held)
        order.shuffle(paths)  # type: ignore[attr-defined]
        for path in paths:
            again.save(Content(path, blob_of(held[path]), "d"), held[path])
        assert b"".join(dump(lived, "o")) == b"".join(dump(fresh, "o"))
        for database in (lived, fresh):
            database.close()
        for name in ("lived.db", "fresh.db"):
            engines.assert_sound(Path(folder) / name)
            engines.drop(Path(folder) / name)


@pytest.mark.sqlite
def test_saving_the_same_page_again_keeps_every_row(tmp_path: Path) -> None:
    database = database_in(str(tmp_path), "x.db")
    writer = Writer(database, "o", lambda: "2026-01-01T00:00:00Z")
    page = Page(
        "test",
        classes=(ClassFact("urn:c:a", "A"),),
        axioms=(
            Axiom("SubClassOf", "urn:c:a", "urn:c:b", is_parent=True),
            Axiom("ObjectPropertyAssertion", "urn:c:a", "urn:c:b", "urn:p:1", "ObjectProperty"),
        ),
        links=(Link("SubClassOf", "urn:c:a", "b", "urn:c:b"),),
    )
    writer.save(Content(b"A.md", "1" * 40, "d"), page)
    database.run("CREATE TABLE written (what TEXT)")
    for table in ("owl_axioms", "owl_class_hierarchy", "class_facts", "links", "property_uses"):
        for event in ("INSERT", "UPDATE", "DELETE"):
            database.run(
                f"CREATE TRIGGER t_{table}_{event} AFTER {event} ON {table}"
                f" BEGIN INSERT INTO written VALUES ('{table} {event}'); END"
            )
    writer.save(Content(b"A.md", "2" * 40, "d"), page)
    assert database.rows("SELECT what FROM written") == []
    database.close()


def test_a_hub_page_moves_thousands_of_links_at_once(tmp_path: Path) -> None:
    database = database_in(str(tmp_path), "x.db")
    writer = Writer(database, "o", lambda: "2026-01-01T00:00:00Z")
    for number in range(3_000):
        hub = Link("ObjectPropertyAssertion", f"urn:c:{number}", "hub", "urn:minted", "urn:p:1")
        writer.save(
            Content(b"%d.md" % number, "1" * 40, "d"), Page("test", (ClassFact(f"urn:c:{number}"),), links=(hub,))
        )
    page = Page("test", (ClassFact("urn:hub", "Hub"),), names=(PageName("hub", NameRank.TITLE),))
    writer.save(Content(b"hub.md", "1" * 40, "d"), page)
    assert database.rows("SELECT object, COUNT(*) FROM owl_axioms GROUP BY object") == [("urn:hub", 3_000)]
    writer.delete(b"hub.md")
    assert database.rows("SELECT object, COUNT(*) FROM owl_axioms GROUP BY object") == [("urn:minted", 3_000)]
    database.close()
