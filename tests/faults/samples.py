"""One page of each format, and the mutations that turn it into what nobody would write."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

OWL = "http://www.w3.org/2002/07/owl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"

JSONLD_PAGE = """public:: true
alias:: [[Violin, small]], Fiddle

# Violin
```json-ld
{"@context": "https://narrativegoldmine.com/context/v1.jsonld", "@id": "urn:m:page", "@type": "Page", "title": "Violin",
 "vc:public": true, "vc:outboundWikilinks": [{"label": "Bow"}]}
```
```json-ld
{"@id": "urn:m:violin", "@type": "Class", "label": "Violin", "definition": "Four strings \\u266b, and a bow.",
 "subClassOf": [{"@id": "urn:m:string", "label": "String"}], "qualityScore": 0.93, "sameAs": {"@id": "urn:x:violin"},
 "relations": {"hasPart": [{"@id": "urn:m:bow"}, {"@id": "urn:m:peg"}], "depends-on": {"@id": "urn:m:rosin"}}}
```
- ### Definition
\t- See [[Bow]].
"""
ONTOLOGY_BLOCK = """alias:: Fiddle
- ### OntologyBlock
  id:: 6a-violin
  collapsed:: true
\t- owl:class:: mv:Violin
\t- preferred-term:: Violin
\t- definition:: "Four strings and a bow" <!-- checked -->
\t- is-subclass-of:: [[String Instrument]]
\t- bridges-to:: [[Orchestra|the band]] via enables
\t- has-part:: [[Bow]], [[Peg]]
\t- #### OWL Axioms
\t\t- ```clojure
\t\t  # what it is
\t\t  Declaration(Class(mv:Violin))
\t\t  SubClassOf(mv:Violin ObjectSomeValuesFrom(mv:hasPart mv:Bow))
\t\t  (SubClassOf mv:Violin (ObjectMinCardinality 4 mv:hasPart mv:String))
\t\t  AnnotationAssertion(rdfs:comment mv:Violin "a \\"fiddle\\""@en)
\t\t  ```
"""
IRI_FIRST = """iri:: http://narrativegoldmine.com/metaverse#Violin
rdf-type:: owl:Class
preferred-term:: Violin
author-did::
public:: true

- ### Definition
  - Four strings and a bow,
    held under the chin.
<!-- a comment
of two lines -->
- ### Relationships
  - is-subclass-of:: [[String Instrument]]
  - bridges-to:: [[Orchestra]] (domain: music)
"""
OWL_TEXT = """- Violins
  owl:functional-syntax:: |
    Declaration(Class(mv:Violin))
    # a comment
    EquivalentClasses(mv:Violin ObjectIntersectionOf(mv:StringInstrument ObjectHasValue(mv:has _:bow)))
    DataPropertyAssertion(mv:strings mv:violin1 "4"^^xsd:integer)
- more prose
  - owl:functional-syntax::
    DisjointClasses(mv:Violin mv:Viola mv:Cello)
"""
PLAIN = "public:: true\n- a walk to the [[Concert Hall]], then [[Dinner|food]]\n```\ncode\n```\n"
TURTLE = f"""@prefix : <urn:m:> . @prefix owl: <{OWL}> . @prefix rdfs: <{RDFS}> .
@base <http://example.org/> .
:violin a owl:Class ; rdfs:label "violin"@en, '''Vio"line'''@de ; rdfs:subClassOf :string, # a comment
  [ a owl:Restriction ; owl:onProperty :hasPart ; owl:someValuesFrom [ owl:unionOf ( :bow :peg <finger> ) ] ] .
:hasPart a owl:ObjectProperty ; rdfs:domain :thing . :v1 a :violin ; :weight 0.45, 1e3, true ; :next _:b .
_:b :next _:b .
[] a owl:AllDisjointClasses ; owl:members ( :violin :viola ) .
"""
NTRIPLES = f"""<urn:m:violin> <{RDF}type> <{OWL}Class> .
<urn:m:violin> <{RDFS}label> "viol\\u0069n \\"1\\""@en . # a comment
_:a <urn:m:next> _:b .
<urn:m:violin> <urn:m:strings> "4"^^<http://www.w3.org/2001/XMLSchema#integer> .
"""
NQUADS = NTRIPLES.replace(" .\n_:a", " <urn:m:graph> .\n_:a").replace("_:b .", "_:b _:graph .")
TRIG = TURTLE.replace(":hasPart a", ":graph { :viola a owl:Class . }\nGRAPH <g2> { :cello a owl:Class }\n:hasPart a")
RDF_XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<rdf:RDF xmlns:rdf="{RDF}" xmlns:owl="{OWL}" xmlns:rdfs="{RDFS}" xml:base="http://example.org/m">
  <owl:Class rdf:about="#violin" rdfs:label="violin"><!-- a comment -->
    <rdfs:comment xml:lang="en">strings &amp; a bow &#x266b;</rdfs:comment>
    <rdfs:subClassOf><owl:Restriction><owl:onProperty rdf:resource="#hasPart"/>
      <owl:someValuesFrom><owl:Class><owl:unionOf rdf:parseType="Collection"><owl:Class rdf:about="#bow"/>
        <owl:Class rdf:about="#peg"/></owl:unionOf></owl:Class></owl:someValuesFrom></owl:Restriction></rdfs:subClassOf>
    <rdfs:seeAlso rdf:parseType="Literal"><b>see</b></rdfs:seeAlso>
  </owl:Class>
</rdf:RDF>
"""
OWL_XML = f"""<?xml version="1.0"?>
<Ontology xmlns="{OWL}" xml:base="urn:m:" ontologyIRI="urn:m:all">
  <Prefix name="m" IRI="urn:m:"/>
  <Declaration><Class IRI="urn:m:violin"/></Declaration>
  <SubClassOf><Class abbreviatedIRI="m:violin"/><ObjectMinCardinality cardinality="4">
    <ObjectProperty IRI="urn:m:hasPart"/><Class IRI="urn:m:string"/></ObjectMinCardinality></SubClassOf>
  <AnnotationAssertion><AnnotationProperty IRI="{RDFS}label"/><IRI>urn:m:violin</IRI><Literal>violin</Literal>
  </AnnotationAssertion>
</Ontology>
"""
JSONLD = """{"@context": {"@vocab": "urn:m:", "owl": "http://www.w3.org/2002/07/owl#", "next": {"@type": "@id"},
 "parent": {"@id": "http://www.w3.org/2000/01/rdf-schema#subClassOf", "@type": "@id"}, "all": {"@container": "@list"}},
 "@graph": [{"@id": "urn:m:violin", "@type": "owl:Class", "parent": ["urn:m:string", {"@id": "urn:m:bow"}]},
  {"@id": "_:b", "next": "_:b", "weight": 0.45, "text": {"@value": "bow", "@language": "en"}, "all": [1, "two", null]}]}
"""
FUNCTIONAL = """Prefix(:=<urn:m:>) Prefix(rdfs:=<http://www.w3.org/2000/01/rdf-schema#>)
# a comment
Ontology(<urn:m:all>
Import(<http://example.org/other>)
Declaration(Class(:Violin)) SubClassOf(Annotation(rdfs:comment "so it is") :Violin :String)
SubClassOf(:Violin ObjectExactCardinality(4 :hasPart ObjectComplementOf(:Key)))
ClassAssertion(:Violin _:v1) ObjectPropertyAssertion(:next _:v1 _:v2) DifferentIndividuals(_:v1 _:v2 _:v3 _:v4 _:v5)
SubObjectPropertyOf(ObjectPropertyChain(:a :b) ObjectInverseOf(:c)) HasKey(:Violin (:a) ())
AnnotationAssertion(rdfs:label :Violin "violin"@en) )
"""
MANCHESTER = """Prefix: : <urn:m:>
Prefix: rdfs: <http://www.w3.org/2000/01/rdf-schema#>
Ontology: <urn:m:all>
ObjectProperty: :hasPart
Class: :Violin
    Annotations: rdfs:label "violin"@en
    SubClassOf: :String, :hasPart some (:Bow or not (:Key)), :hasPart min 4 :Wire # a comment
    DisjointWith: :Viola
Individual: :v1
    Types: :Violin, {:v1, :v2}
"""
SAMPLES: dict[str, tuple[bytes, str]] = {
    "jsonld-page": (b"Violin.md", JSONLD_PAGE),
    "ontology-block": (b"Violin.md", ONTOLOGY_BLOCK),
    "iri-first": (b"Violin.md", IRI_FIRST),
    "owl-text": (b"Violin.md", OWL_TEXT),
    "plain": (b"Violin.md", PLAIN),
    "turtle": (b"v.ttl", TURTLE),
    "ntriples": (b"v.nt", NTRIPLES),
    "nquads": (b"v.nq", NQUADS),
    "trig": (b"v.trig", TRIG),
    "rdf-xml": (b"v.rdf", RDF_XML),
    "owl-xml": (b"v.owl", OWL_XML),
    "json-ld": (b"v.jsonld", JSONLD),
    "functional": (b"v.ofn", FUNCTIONAL),
    "manchester": (b"v.omn", MANCHESTER),
}
NASTY = [
    *(b"[[ ]] (( ``` ~~~ :: <!-- --> < > # ;; _: _:b @ ^^ { } [ ] ( ) . , ; & &#0; %00").split(),
    *(b'" """ \' \\ \\\\ \\" \\ud800 \\udfff \\u0000 \\U00110000 \\u -1 1e999 99999999999 NaN null true').split(),
    *(b"Prefix( Ontology( SubClassOf( ObjectComplementOf( Class: not <urn:a\tb>").split(b" "),
    *(b"<!DOCTYPE", b"<!ENTITY", b"<![CDATA[", b"\x0b", b"\x85", b"\x7f", b"\x1b[31m"),
    *(b"\0", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\r\n"),
    *("\u2028\u202e\u0301\ud7ff\ufffe".encode(), b"9" * 400, b"A" * 2_000, b" " * 500, b"\n" * 50),
    *(b"- ### OntologyBlock\n", b"owl:functional-syntax:: |\n", b"```json-ld\n", b"@prefix : <> .", b"@base <x> ."),
    *(b'"@context":"http://127.0.0.1:9/x",', b'"@id":"_:b",', b'"@import":"file:///etc/passwd",'),
]


def mutants(sample: bytes, others: list[bytes], seed: str, count: int) -> Iterator[bytes]:
    """Give mutations of a page, the same ones for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - it is to be repeatable, not secret
    for _ in range(count):
        page = bytearray(sample)
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            chance.choice(MUTATIONS)(page, chance, others)
        yield bytes(page)


def _flip(page: bytearray, chance: random.Random, _others: list[bytes]) -> None:
    if page:
        page[chance.randrange(len(page))] ^= 1 << chance.randrange(8)


def _delete(page: bytearray, chance: random.Random, _others: list[bytes]) -> None:
    start, end = _part(page, chance)
    del page[start:end]


def _double(page: bytearray, chance: random.Random, _others: list[bytes]) -> None:
    start, end = _part(page, chance)
    page[end:end] = page[start:end]


def _repeat(page: bytearray, chance: random.Random, _others: list[bytes]) -> None:
    start, end = _part(page, chance)
    page[end:end] = page[start : min(end, start + 300)] * 100


def _splice(page: bytearray, chance: random.Random, others: list[bytes]) -> None:
    other = bytearray(chance.choice(others))
    start, end = _part(other, chance)
    at, until = _part(page, chance)
    page[at : chance.choice((at, until))] = other[start:end]


def _insert(page: bytearray, chance: random.Random, _others: list[bytes]) -> None:
    at = chance.randrange(len(page) + 1)
    page[at:at] = chance.choice(NASTY) * chance.choice((1, 1, 1, 2, 30))


def _truncate(page: bytearray, chance: random.Random, _others: list[bytes]) -> None:
    del page[chance.randrange(len(page) + 1) :]


def _part(page: bytearray, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(page) + 1)
    return start, min(len(page), start + chance.choice((1, 5, 20, 80, 400)))


Mutation = Callable[[bytearray, random.Random, list[bytes]], None]
MUTATIONS: list[Mutation] = [_flip, _flip, _delete, _double, _repeat, _splice, _insert, _insert, _truncate]
