"""Concepts: what each generated page is about, and which other ones it speaks of."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from benchmarks.words import DOMAINS, THINGS, name_of

SPACE = "https://bench.example/terms#"
NARRATIVE = {
    domain: f"http://narrativegoldmine.com/{name}#"
    for domain, name in zip(
        DOMAINS, ("ai", "blockchain", "robotics", "metaverse", "telecollaboration", "disruptive-tech"), strict=True
    )
}
RELATIONS = (
    *("relatedTo", "enables", "requires", "uses", "hasPart", "bridgesTo", "supports", "contrastsWith"),
    *("partOf", "dependsOn", "implements", "standardizedBy"),
)


class Format(StrEnum):
    """The kinds of pages, each with the weight in percent that it has among them."""

    JSONLD = "jsonld-page"
    BLOCK = "ontology-block"
    IRI_FIRST = "iri-first"
    OWL_TEXT = "owl-text"
    RDF = "rdf-ttl"
    PLAIN = "plain"


WEIGHTS = {
    Format.JSONLD: 80,
    Format.BLOCK: 10,
    Format.IRI_FIRST: 4,
    Format.OWL_TEXT: 2,
    Format.RDF: 2,
    Format.PLAIN: 2,
}
CYCLE = tuple(each for each, weight in WEIGHTS.items() for _ in range(weight))
MIXING = 37
"""Prime to 100, so that each hundred of pages holds each format as often as it weighs, in no visible order."""


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept: the same whatever version of its page is written."""

    index: int
    name: str
    format: Format
    domain: str

    @property
    def slug(self) -> str:
        """The name as it stands in URNs."""
        return self.name.lower().replace(" ", "-")

    @property
    def local(self) -> str:
        """The name as it stands behind a prefix."""
        return self.name.replace(" ", "")

    @property
    def iri(self) -> str:
        """The class that the page is about."""
        if self.format in {Format.JSONLD, Format.PLAIN}:
            return f"urn:bench:class:{self.slug}"
        if self.format in {Format.BLOCK, Format.IRI_FIRST}:
            return NARRATIVE[self.domain] + self.local
        return SPACE + self.local


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of a concept."""

    key: str
    target: Concept


@dataclass(frozen=True, slots=True)
class Said:
    """What one version of a page says of its concept."""

    concept: Concept
    parents: tuple[Concept, ...]
    relations: tuple[Relation, ...]
    random: Random
    """What is left to chance when the page is written."""


def concept(seed: int, index: int) -> Concept:
    """Give a concept. Beyond the last page there are others, which pages speak of and none describes."""
    shuffled = (index * MIXING + seed) % len(CYCLE)
    return Concept(index, name_of(index), CYCLE[shuffled], DOMAINS[(index + seed) % len(DOMAINS)])


def said(seed: int, index: int, size: int, version: int) -> Said:
    """Say things of a concept: parents that lie before it, so that they make a hierarchy, and relations to any."""
    random = Random(f"{seed} {index} {version}")  # noqa: S311 - pages are no secrets
    many = 1 + (random.random() < 0.15) + (random.random() < 0.05)  # noqa: PLR2004 - 1.2 parents a page, as real ones have
    parents = {_parent(random, seed, index, size) for _ in range(many)}
    relations = []
    for key in random.sample(RELATIONS, random.randrange(2, 9)):
        targets = {random.randrange(2 * size) for _ in range(random.randrange(1, 5))} - {index}
        relations += [Relation(key, concept(seed, target)) for target in sorted(targets)]
    return Said(concept(seed, index), tuple(concept(seed, each) for each in sorted(parents)), tuple(relations), random)


def _parent(random: Random, seed: int, index: int, size: int) -> int:
    """Choose a page before this one, or one of a few roots that no page describes."""
    if index == 0 or random.random() < 0.15:  # noqa: PLR2004 - so many real parents are described nowhere
        return 2 * size + (index + seed) % len(THINGS)
    return random.randrange(index)
