"""Kills at growing distances through a real first sync, and readers who look on all the while."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests import engines
from tests.conftest import corpus
from tests.support import Daemon, Repo, class_page

PAGES = ("--include", "ontology/pages/*.md")
COUNT_SAVES = (
    """
CREATE TABLE saves (path BLOB, blob TEXT);
CREATE TRIGGER count_inserts AFTER INSERT ON source_files
  BEGIN INSERT INTO saves VALUES (new.path, new.blob_saved); END;
CREATE TRIGGER count_updates AFTER UPDATE ON source_files
  BEGIN INSERT INTO saves VALUES (new.path, new.blob_saved); END;
""",
    """
CREATE TABLE saves (path BYTEA, blob TEXT);
CREATE FUNCTION count_save() RETURNS TRIGGER LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO saves VALUES (new.path, new.blob_saved); RETURN new; END $$;
CREATE TRIGGER count_saves AFTER INSERT OR UPDATE ON source_files FOR EACH ROW EXECUTE FUNCTION count_save();
""",
)


def saved(database: Path) -> int:
    with engines.Connected(database) as connection:
        (count,) = connection.execute("SELECT COUNT(*) FROM source_files").fetchone()
    return int(count)


@pytest.mark.corpus
def test_a_first_sync_killed_again_and_again_saves_no_file_twice(tmp_path: Path, daemon: Daemon) -> None:
    repository = corpus("narrativegoldmine-974", tmp_path)
    database = daemon.folder / "kg.db"
    daemon.run("migrate", "--database", "kg.db")
    with engines.Connected(database) as connection:
        connection.script(*COUNT_SAVES)
    kills = 0
    for pause in range(50, 2_000, 50):
        before = saved(database)
        process = daemon.start("--once", "--source", repository, "--database", "kg.db", *PAGES)
        try:
            for _ in range(6_000):
                if saved(database) > before or process.poll() is not None:
                    break
                threading.Event().wait(0.001)
            threading.Event().wait(pause / 1_000)
        finally:
            process.kill()
            process.communicate()
        kills += process.returncode == -9
        if process.returncode == 0:
            break
    assert kills >= 3
    assert process.returncode == 0
    assert daemon.query("SELECT COUNT(*), COUNT(DISTINCT path) FROM saves") == [(974, 974)]
    daemon.once(repository, *PAGES, database="fresh.db")
    assert daemon.dump_bytes("kg.db") == daemon.dump_bytes("fresh.db")


def page(number: int, side: str) -> str:
    """Write a page all of whose rows tell which side they are of."""
    related = [{"@id": f"urn:t:{side}:{each}"} for each in range(8)]
    return class_page(
        f"urn:t:c{number}",
        f"{side} {number}",
        subClassOf=[{"@id": f"urn:t:{side}:parent"}],
        relations={"hasPart": related},
    )


# While a page is renamed, its class has the facts of both files: the new one comes before the old one goes.
HALF_PAGES = """
SELECT c.class_iri FROM owl_classes c JOIN owl_axioms a ON a.file_id = c.file_id
WHERE c.is_declared = 1 AND a.object NOT LIKE 'urn:t:' || substr(c.label, 1, instr(c.label, ' ') - 1) || ':%'
UNION ALL
SELECT MIN(a.subject) FROM owl_axioms a GROUP BY a.file_id HAVING COUNT(*) <> 9
UNION ALL
SELECT c.class_iri FROM owl_classes c WHERE c.is_declared = 1 AND NOT EXISTS (
  SELECT 1 FROM owl_class_hierarchy h WHERE h.class_iri = c.class_iri
  AND h.parent_iri = 'urn:t:' || substr(c.label, 1, instr(c.label, ' ') - 1) || ':parent')
"""
DECLARED = "SELECT COUNT(*) FROM owl_classes WHERE is_declared = 1"


def test_a_reader_sees_whole_pages_and_every_class_throughout_a_sync(repo: Repo, daemon: Daemon) -> None:
    repo.commit({f"{number}.md": page(number, "old") for number in range(200)})
    daemon.once(repo.path)
    changed: dict[str, str | None] = {f"{number}.md": page(number, "new") for number in range(150)}
    changed |= {f"{number}.md": None for number in range(150, 200)}
    changed |= {f"moved/{number}.md": page(number, "new") for number in range(150, 200)}
    repo.commit(changed)
    process = daemon.start("--once", "--source", repo.path, "--database", "kg.db", "--workers", "8")
    looks = mixed = 0
    with engines.Connected(daemon.folder / "kg.db") as reader:
        for _ in range(100_000):
            is_over = process.poll() is not None
            reader.begin()
            assert reader.execute(HALF_PAGES).fetchall() == []
            assert reader.execute(DECLARED).fetchall() == [(200,)]
            assert reader.broken_references() == []
            (new,) = reader.execute("SELECT COUNT(*) FROM owl_classes WHERE label LIKE 'new %'").fetchone()
            reader.execute("COMMIT")
            looks += 1
            mixed += 0 < new < 200
            if is_over:
                break
    out, err = process.communicate()
    assert process.returncode == 0, (out, err)
    assert new == 200
    assert mixed >= 3, f"only {mixed} of {looks} looks fell into the sync"
