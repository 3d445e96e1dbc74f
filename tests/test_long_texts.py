"""Paths, names, IRIs and ids that are as long as any may be, and longer: no engine's index takes all."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest

from tests.support import Daemon, Repo, class_page, outline_page
from visionflow_daemon.config.load import load
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.model import NAME_KEY_BYTES, name_key

MV = "http://narrativegoldmine.com/metaverse#"
IDEOGRAPHS = "".join(map(chr, range(0x4E00, 0x9F00)))
"""Letters of three bytes each: a link may have 500."""


def noise(length: int, letters: str = string.ascii_lowercase + string.digits) -> str:
    """Make a text that no engine can store in less."""
    draw = random.Random(length)  # noqa: S311 - the same each time
    return "".join(draw.choices(letters, k=length))


def test_the_longest_that_a_source_may_hold(repo: Repo, daemon: Daemon) -> None:
    longest = "/".join([noise(249)] * 7 + [noise(247) + ".md"])
    assert len(longest) == 2_000
    one, other = ("urn:t:" + noise(length) for length in (1_018, 1_017))
    name, twin = noise(499, IDEOGRAPHS), noise(499, IDEOGRAPHS) + "x"
    repo.commit(
        {
            longest: class_page(one, "A", subClassOf={"@id": other}),
            f"x{longest}": class_page("urn:t:left-out", "B"),
            "Named.md": f"alias:: {name}, {noise(30_000)}\n\n{outline_page('Named')}",
            "Twin.md": f"alias:: {twin}\n\n{outline_page('Twin')}",
            "Links.md": outline_page("Links", f"is-subclass-of:: [[{name}]], [[{twin.upper()}]]"),
        }
    )
    daemon.once(repo.path, "--ontology-id", "本" * 200)
    paths = [path for (path,) in daemon.query("SELECT display_path FROM source_files")]
    assert sorted(paths) == sorted([longest, "Links.md", "Named.md", "Twin.md"])
    assert set(daemon.query("SELECT class_iri, parent_iri FROM owl_class_hierarchy")) == {
        (one, other),
        (f"{MV}Links", f"{MV}Named"),
        (f"{MV}Links", f"{MV}Twin"),
    }
    repo.commit({"Twin.md": None, longest: None})
    daemon.once(repo.path, "--ontology-id", "本" * 200)
    parents = daemon.query("SELECT class_iri, parent_iri FROM owl_class_hierarchy")
    assert parents == [(f"{MV}Links", f"{MV}Named")]  # of a name as long as that, no IRI can be made


@pytest.mark.parametrize("letter", ["a", "é", "本", "😀"])
def test_a_name_of_any_length_has_a_key_of_its_own(letter: str) -> None:
    size = len(letter.encode())
    longest = letter * (NAME_KEY_BYTES // size)
    assert name_key(longest) == longest
    longer, another = name_key(longest + letter), name_key(longest + letter * 2)
    assert longer != another
    assert longer.startswith(letter * 100)
    for key in (longer, another):
        assert len(key.encode()) <= NAME_KEY_BYTES
        assert name_key(key) == key


def test_an_id_that_no_index_takes_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(f'[[sources]]\nlocation = "a"\nontology_id = "{"😀" * 151}"\n')
    with pytest.raises(ConfigError) as caught:
        load(config, {})
    (problem,) = caught.value.problems
    assert problem.startswith("sources[0].ontology_id: it has more than 600 bytes")
