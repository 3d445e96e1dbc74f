"""`verify` on real databases: silent where all is well, precise where it isn't, and able to mend it."""

from __future__ import annotations

import pytest

from tests import engines
from tests.support import Daemon, Repo, class_page, outline_page

PREFIX = ("--prefix", "t=https://t.example/")
CHANGES = {
    "a label": "UPDATE owl_classes SET label = 'Wrong' WHERE class_iri = 'urn:t:a'",
    "a class too many": (
        "INSERT INTO owl_classes VALUES ('default', 'urn:t:no', 'No', NULL, NULL, 0, 0, '{}', NULL, 't', 't', 't')"
    ),
    "an undeclared class described": "UPDATE owl_classes SET comment = 'Wrong' WHERE class_iri = 'urn:t:thing'",
    "a parent gone": "DELETE FROM owl_class_hierarchy WHERE class_iri = 'urn:t:a'",
    "a parent too many": "INSERT INTO owl_class_hierarchy VALUES ('default', 'urn:t:b', 'urn:t:a')",
    "an axiom gone": "DELETE FROM owl_axioms WHERE subject = 'urn:t:a' AND axiom_type = 'SubClassOf'",
    "an axiom changed": "UPDATE owl_axioms SET object = 'urn:t:b' WHERE subject = 'urn:t:a' AND is_parent = 1",
    "an axiom said twice": (
        "INSERT INTO owl_axioms (ontology_id, id, file_id, axiom_type, subject, object, is_stated, is_parent)"
        " SELECT ontology_id, id + 1000, file_id, axiom_type, subject, object, is_stated, is_parent FROM owl_axioms"
        " WHERE subject = 'urn:t:a' AND is_parent = 1"
    ),
    "an axiom out of its place": (
        "INSERT INTO owl_axioms (ontology_id, id, file_id, axiom_type, subject, object, is_stated)"
        " SELECT 'default', -77, file_id, 'SubClassOf', 'urn:t:x', 'urn:t:y', 1 FROM source_files LIMIT 1"
    ),
    "a link astray": "UPDATE links SET target_iri = 'urn:t:wrong'",
    "a name changed": "UPDATE page_names SET name_key = 'nobody' WHERE name_key = 'b'",
    "a property gone": "DELETE FROM owl_properties",
    "a property of another type": "UPDATE owl_properties SET property_type = 'DataProperty'",
    "a property's uses miscounted": "UPDATE property_uses SET axioms = axioms + 1",
    "a property's uses uncounted": "DELETE FROM property_uses",
    "an unused property counted": "INSERT INTO property_uses VALUES ('default', 'urn:p:x', 'DataProperty', 1)",
    "a fact changed": "UPDATE class_facts SET comment = 'Wrong' WHERE class_iri = 'urn:t:b'",
    "a file gone": "DELETE FROM source_files WHERE path = CAST('B.md' AS BLOB)",
    "a file at other content": "UPDATE source_files SET blob_seen = 'x', blob_saved = 'x' WHERE display_path = 'A.md'",
    "a file too many": (
        "INSERT INTO source_files (ontology_id, file_id, path, display_path, status, blob_seen, digest_seen,"
        " blob_saved) VALUES ('default', 99, CAST('Z.md' AS BLOB), 'Z.md', 'saved', 'z', 'z', 'z')"
    ),
}


@pytest.fixture
def synced(repo: Repo, daemon: Daemon) -> Daemon:
    part = {"hasPart": [{"@id": "urn:t:b"}]}
    repo.commit(
        {
            "A.md": class_page("urn:t:a", "A", subClassOf=[{"@id": "urn:t:thing"}], relations=part),
            "B.md": class_page("urn:t:b", "B"),
            "Outline.md": outline_page("Outline", "has-part:: [[B]]", "is-subclass-of:: [[A]]", prefix="t"),
            "note.md": "nothing\n",
        }
    )
    daemon.once(repo.path, *PREFIX)
    return daemon


def verify(daemon: Daemon, repo: Repo, *arguments: str) -> tuple[int, str]:
    ran = daemon.run("verify", "--source", repo.path, "--database", "kg.db", *PREFIX, *arguments)
    assert not ran.err, ran.err
    return ran.code, ran.out


def test_a_synced_database_differs_in_nothing(repo: Repo, synced: Daemon) -> None:
    assert verify(synced, repo) == (0, "no difference\n")


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_row_changed_by_hand_is_found_and_mended(repo: Repo, synced: Daemon, change: str) -> None:
    before = synced.dump_bytes()
    with engines.Connected(synced.folder / "kg.db") as connection:
        assert connection.execute(change).rowcount > 0
    code, out = verify(synced, repo)
    assert code == 3
    assert "rows differ" in out
    code, out = verify(synced, repo, "--repair")
    assert (code, out.splitlines()[-1]) == (0, "mended")
    assert verify(synced, repo) == (0, "no difference\n")
    assert synced.dump_bytes() == before


def test_differences_are_told_by_file_and_kind(repo: Repo, synced: Daemon) -> None:
    with engines.Connected(synced.folder / "kg.db") as connection:
        connection.execute(CHANGES["a label"])
        connection.execute(CHANGES["a fact changed"])
    code, out = verify(synced, repo)
    assert out.splitlines() == [
        "B.md: class_fact different: urn:t:b: 'Wrong' instead of 'What B is.'",
        "class different: urn:t:a: 'Wrong' instead of 'A'",
        "2 rows differ: 1 class, 1 class_fact",
    ]
    answer = synced.run("verify", "--json", "--source", repo.path, "--database", "kg.db", *PREFIX).json
    assert answer["total"] == 2
    assert [(each["path"], each["kind"], each["what"]) for each in answer["differences"]] == [
        ("B.md", "class_fact", "different"),
        (None, "class", "different"),
    ]
    assert code == 3


def test_a_stale_file_is_compared_with_its_last_good_content(repo: Repo, synced: Daemon) -> None:
    repo.commit({"A.md": "```json-ld\n{\n```\n"})
    synced.once(repo.path, *PREFIX, expect=3)
    code, out = verify(synced, repo)
    assert (code, out) == (0, "A.md: in the ledger, compared with its last good content\nno difference\n")
    with engines.Connected(synced.folder / "kg.db") as connection:
        connection.execute(CHANGES["an axiom gone"])
    assert verify(synced, repo)[0] == 3
    assert verify(synced, repo, "--repair")[0] == 0
    assert synced.query("SELECT status FROM source_files WHERE display_path = 'A.md'") == [("failed",)]


def test_a_stale_file_whose_good_content_is_gone_counts_as_the_database_has_it(repo: Repo, synced: Daemon) -> None:
    with engines.Connected(synced.folder / "kg.db") as connection:
        connection.execute(
            "UPDATE source_files SET status = 'failed', failure_class = 'page', reason = 'r', blob_saved = 'f' || 'e'"
            " WHERE display_path = 'A.md'"
        )
        connection.execute("UPDATE owl_classes SET file_sha1 = 'fe' WHERE class_iri = 'urn:t:a'")
    assert verify(synced, repo)[0] == 0


def test_what_can_not_be_compared_is_said(repo: Repo, synced: Daemon) -> None:
    ran = synced.run("verify", "--source", repo.path, "--database", "kg.db")
    assert ran.code == 2
    assert "not those of the last pass" in ran.err
    with engines.Connected(synced.folder / "kg.db") as connection:
        connection.execute("UPDATE checkpoints SET is_clean = 0")
    ran = synced.run("verify", "--source", repo.path, "--database", "kg.db", *PREFIX, "--lock-timeout", "0")
    assert ran.code == 2
    assert "the last one was cut off" in ran.err
    ran = synced.run("verify", "--source", repo.path, "--database", "kg.db", *PREFIX, "--ontology-id", "other")
    assert ran.code == 2
    assert "nothing was synced into ontology 'other'" in ran.err


def test_a_clone_of_a_remote_is_verified_without_asking_it(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    url = f"file://{repo.path}"
    ran = daemon.run("verify", "--source", url, "--database", "kg.db")
    assert ran.code == 2
    assert "there is no clone" in ran.err
    daemon.once(url)
    repo.path.rename(repo.path.with_name("away.git"))
    assert daemon.run("verify", "--source", url, "--database", "kg.db").out == "no difference\n"


def test_the_folder_for_comparing_is_left_empty(repo: Repo, synced: Daemon) -> None:
    verify(synced, repo)
    state = synced.folder / "home" / ".local" / "state" / "visionflow-daemon"
    assert [path.name for path in state.iterdir() if path.name.startswith("verify-")] == []
