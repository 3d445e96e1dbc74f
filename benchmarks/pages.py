"""Pages: a seeded generator of realistic ones, in every format that is read. Pure: the same input, the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from benchmarks.concepts import Concept, Format, Said, said
from benchmarks.words import DOMAINS, sentences

GENERATOR = 3
"""Raise this when the same input comes to yield other bytes: kept repositories are then made anew."""

KEYS = {
    "relatedTo": "related-to",
    "hasPart": "has-part",
    "bridgesTo": "bridges-to",
    "partOf": "is-part-of",
    "dependsOn": "depends-on",
    "contrastsWith": "contrasts-with",
    "standardizedBy": "standardized-by",
}
"""Relations as outlines write them, where that is not the same."""


@dataclass(frozen=True, slots=True)
class Ontology:
    """How many pages there are, and which."""

    seed: int
    size: int

    def page(self, index: int, version: int = 1) -> tuple[str, bytes]:
        """Give the path and the bytes of one page. Another version has the same path, and says other things."""
        what = said(self.seed, index, self.size, version)
        name = what.concept.name
        path = f"rdf/{name.replace(' ', '_')}.ttl" if what.concept.format is Format.RDF else f"pages/{name}.md"
        return path, WRITERS[what.concept.format](what).encode()

    def pages(self) -> Iterator[tuple[str, bytes]]:
        """Give all pages, one at a time."""
        return (self.page(index) for index in range(self.size))


def _prose(random: Random, paragraphs: int, bullet: str) -> str:
    """Write prose, with a link now and then."""
    pool = sentences()
    heads = ("Background", "In use", "Limits", "History", "Measures", "Open questions", "Neighbours", "Sources")
    written = []
    for number in range(paragraphs):
        if number % 6 == 0:
            written.append(f"{bullet}- ## {heads[number // 6 % len(heads)]}\n")
        written.append(f"{bullet}\t- {' '.join(random.choices(pool, k=4))}\n")
    return "".join(written)


def _definition(random: Random) -> str:
    return " ".join(random.choices(sentences(), k=2))


def _note(random: Random) -> str:
    return " ".join(random.choices(sentences(), k=14))


def _paragraphs(random: Random, mean: int) -> int:
    return random.randrange(mean // 2, mean * 3 // 2)


def _items(concepts: list[Concept]) -> list[dict[str, str]]:
    return [{"@id": each.iri, "label": each.name} for each in concepts]


def _jsonld(what: Said) -> str:
    concept, random = what.concept, what.random
    keys = dict.fromkeys(each.key for each in what.relations)
    grouped = {key: _items([each.target for each in what.relations if each.key == key]) for key in keys}
    outbound = [each.target for each in what.relations if random.random() < 0.7]  # noqa: PLR2004
    page = {
        "@context": "https://narrativegoldmine.com/context/v1.jsonld",
        "@id": f"urn:bench:page:{concept.slug}",
        "@type": "Page",
        "vc:slug": concept.slug,
        "title": concept.name,
        "vc:public": random.random() < 0.9,  # noqa: PLR2004
        "vc:outboundWikilinks": [{"@id": f"urn:bench:linked:{x.slug}", "vc:label": x.name} for x in outbound],
    }
    block = {
        "@context": "https://narrativegoldmine.com/ns/v2.jsonld",
        "@id": concept.iri,
        "@type": "Class",
        "label": concept.name,
        "definition": _definition(random),
        "domain": DOMAINS[concept.index % len(DOMAINS)],
        "maturity": random.choice(("draft", "emerging", "mature", "established")),
        "subClassOf": _items(list(what.parents)),
        "relations": grouped,
        "quality": {"completeness": round(random.random(), 2), "authorityScore": round(random.random(), 2)},
        "provenance": {"source": "generated", "pass": random.randrange(9), "reviewed": random.random() < 0.5},  # noqa: PLR2004
    }
    fences = "\n".join(f"```json-ld\n{json.dumps(each, ensure_ascii=False, indent=2)}\n```\n" for each in (page, block))
    return f"public:: true\n\n# {concept.name}\n{fences}\n{_prose(random, _paragraphs(random, 25), '')}"


def _axioms(what: Said) -> list[str]:
    """Write axioms in functional syntax, of the concept and its relations, all within one namespace."""
    local = what.concept.local
    axioms = [f"Declaration(Class(:{local}))"]
    for number, relation in enumerate(what.relations[:6]):
        other = relation.target.local
        kind = ("ObjectSomeValuesFrom", "ObjectAllValuesFrom", "ObjectSomeValuesFrom")[number % 3]
        axioms.append(f"SubClassOf(:{local}\n  {kind}(:{relation.key} :{other})\n)")
    if what.relations:
        axioms.append(f"DisjointClasses(:{local} :{what.relations[-1].target.local}Opposite)")
    return axioms


def _outline_relations(what: Said, indent: str) -> str:
    parents = ", ".join(f"[[{each.name}]]" for each in what.parents)
    lines = [f"{indent}- is-subclass-of:: {parents}\n"]
    for key in dict.fromkeys(each.key for each in what.relations):
        targets = ", ".join(f"[[{each.target.name}]]" for each in what.relations if each.key == key)
        via = " via enables" if key == "bridgesTo" else ""
        lines.append(f"{indent}- {KEYS.get(key, key)}:: {targets}{via}\n")
    return "".join(lines)


def _block(what: Said) -> str:
    concept, random = what.concept, what.random
    comment = "\t\t  ;; what holds of it\n" if concept.index % 50 == 0 else ""  # rare, and read statement by statement
    axioms = comment + "".join(f"\t\t  {line}\n" for each in _axioms(what) for line in each.split("\n"))
    return (
        f"- ### OntologyBlock\n  id:: {concept.slug}-ontology\n  collapsed:: true\n"
        f"\t- term-id:: {concept.index:05}\n\t- preferred-term:: {concept.name}\n"
        f'\t- definition:: "{_definition(random)}"\n\t- maturity:: mature\n\t- source:: [[Handbook]]\n'
        f"\t- public-access:: true\n\t- owl:class:: {concept.domain}:{concept.local}\n"
        f"\t- owl:physicality:: VirtualEntity\n\t- #### Relationships\n{_outline_relations(what, chr(9) * 2)}"
        f"\t- #### OWL Axioms\n\t\t- ```clojure\n{axioms}\t\t  ```\n"
        f"{_prose(random, _paragraphs(random, 27), '')}"
    )


def _iri_first(what: Said) -> str:
    concept, random = what.concept, what.random
    return (
        f"iri:: {concept.iri}\nuri:: urn:bench:concept:{concept.slug}\nrdf-type:: owl:Class\n"
        f"domain:: {concept.domain}\npreferred-term:: {concept.name}\nauthor-did::\npublic:: true\n\n"
        f"- ### Definition\n  - {_definition(random)}\n- ### Relationships\n{_outline_relations(what, '  ')}"
        f"{_prose(random, _paragraphs(random, 29), '')}"
    )


def _owl_text(what: Said) -> str:
    concept, random = what.concept, what.random
    names = sorted({each.key for each in what.relations})
    axioms = [
        "Prefix(:=<https://bench.example/terms#>)",
        *(f"Declaration(ObjectProperty(:{name}))" for name in names),
        *_axioms(what),
        f'AnnotationAssertion(rdfs:label :{concept.local} "{concept.name}"@en)',
        *(f"SubClassOf(:{concept.local} <{parent.iri}>)" for parent in what.parents),
    ]
    body = "".join(f"  {line}\n" for each in axioms for line in each.split("\n"))
    prose = _prose(random, _paragraphs(random, 28), "")
    return f"# {concept.name}\n\nowl:functional-syntax:: |\n{body}\n{prose}"


def _turtle(what: Said) -> str:
    concept, random = what.concept, what.random
    blank = "".join(
        f"  rdfs:subClassOf [ a owl:Restriction ; owl:onProperty :{each.key} ;"
        f" owl:someValuesFrom <{each.target.iri}> ] ;\n"
        for each in what.relations[:4]
    )
    notes = "".join(f'  skos:note "{_note(random)}" ;\n' for _ in range(_paragraphs(random, 8)))
    related = "".join(f"  :{each.key} <{each.target.iri}> ;\n" for each in what.relations)
    properties = "".join(f":{key} a owl:ObjectProperty .\n" for key in sorted({each.key for each in what.relations}))
    parents = ", ".join(f"<{each.iri}>" for each in what.parents)
    return (
        "@prefix : <https://bench.example/terms#> .\n@prefix owl: <http://www.w3.org/2002/07/owl#> .\n"
        "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
        "@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n"
        f"{properties}<{concept.iri}> a owl:Class ;\n  rdfs:subClassOf {parents} ;\n{blank}{related}{notes}"
        f'  rdfs:comment "{_definition(random)}" ;\n  rdfs:label "{concept.name}"@en .\n'
    )


def _plain(what: Said) -> str:
    links = ", ".join(f"[[{each.target.name}]]" for each in what.relations)
    prose = _prose(what.random, _paragraphs(what.random, 30), "")
    return f"# {what.concept.name}\n\n- See {links}.\n{prose}"


WRITERS = {
    Format.JSONLD: _jsonld,
    Format.BLOCK: _block,
    Format.IRI_FIRST: _iri_first,
    Format.OWL_TEXT: _owl_text,
    Format.RDF: _turtle,
    Format.PLAIN: _plain,
}
