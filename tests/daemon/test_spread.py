"""How ontologies are spread over daemons."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from visionflow_daemon.daemon.spread import spread

TEN = frozenset(f"o{number}" for number in range(10))
names = st.sampled_from("abcdefgh")


@given(st.dictionaries(names, st.frozensets(st.sampled_from(sorted(TEN)), min_size=1), min_size=1))
def test_each_ontology_goes_to_one_daemon_that_knows_it(daemons: dict[str, frozenset[str]]) -> None:
    found = spread(daemons)
    assert set(found) == set().union(*daemons.values())
    assert all(ontology_id in daemons[name] for ontology_id, name in found.items())
    assert found == spread(dict(reversed(list(daemons.items()))))


@given(st.sets(names, min_size=1))
def test_none_has_more_than_one_over_an_even_share(alive: set[str]) -> None:
    loads = [list(spread(dict.fromkeys(alive, TEN)).values()).count(name) for name in alive]
    assert max(loads) <= -(-len(TEN) // len(alive))


def test_few_move_when_a_daemon_goes() -> None:
    before = spread(dict.fromkeys(("a", "b", "c"), TEN))
    after = spread(dict.fromkeys(("a", "b"), TEN))
    moved = [each for each in TEN if before[each] != after[each] and before[each] != "c"]
    assert len(moved) <= 2


def test_nobody_holds_nothing() -> None:
    assert spread({}) == {}
