"""How ontologies are spread over daemons: every daemon that sees the same others comes to the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from hashlib import sha256


def spread(daemons: Mapping[str, AbstractSet[str]]) -> dict[str, str]:
    """Say which daemon is to hold which ontology, of those that it knows.

    Each goes to the daemon that a hash prefers, unless that one has its share already: so none has more than one over
    an even share, as far as configurations allow it, and few move when a daemon joins or leaves (rendezvous hashing
    with bounded loads).
    """
    ontologies = sorted(set().union(*daemons.values()))
    share = -(-len(ontologies) // max(len(daemons), 1))
    loads = dict.fromkeys(daemons, 0)
    found = {}
    for ontology_id in sorted(ontologies, key=lambda each: (sum(each in known for known in daemons.values()), each)):
        able = [name for name, known in daemons.items() if ontology_id in known]
        able.sort(key=lambda name: _weight(name, ontology_id))
        chosen = next((name for name in able if loads[name] < share), None)
        chosen = chosen or min(able, key=lambda name: (loads[name], _weight(name, ontology_id)))
        loads[chosen] += 1
        found[ontology_id] = chosen
    return found


def _weight(daemon: str, ontology_id: str) -> bytes:
    return sha256(f"{daemon}\0{ontology_id}".encode()).digest()
