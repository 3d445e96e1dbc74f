"""Pages made to cost more than their size: each asks for time or memory that grows faster than it."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.samples import OWL, RDF, RDFS

Make = Callable[[int], str]
PAGE = "page"
"""What is expected where no reason is: the page is read, whatever is left out of it."""

HEADS = f"@prefix : <urn:s:> . @prefix owl: <{OWL}> . @prefix rdfs: <{RDFS}> . @prefix rdf: <{RDF}> .\n"
BLOCK = "- ### OntologyBlock\n  - owl:class:: mv:A\n"
FENCE = BLOCK + "```owl\n"
JSON = '```json-ld\n{"@id":"urn:a","@type":"Class","label":"x"'
XML = f'<rdf:RDF xmlns:rdf="{RDF}" xmlns:owl="{OWL}" xmlns:rdfs="{RDFS}">'
LABEL = '<owl:Class rdf:about="urn:a"><rdfs:label>'
LITERAL = '<owl:Class rdf:about="urn:a"><rdfs:label rdf:parseType="Literal">'
LABEL_END = "</rdfs:label></owl:Class></rdf:RDF>"
OWX = f'<Ontology xmlns="{OWL}" ontologyIRI="urn:o">'
OMN = "Prefix: : <urn:s:>\nOntology: <urn:o>\nClass: :a\n SubClassOf: "
VOCAB = '{"@context":{"@vocab":"urn:v:"},"@id":"urn:x","p":'


def again(unit: str, head: str = "", tail: str = "") -> Make:
    """Repeat a unit between a head and a tail."""
    return lambda size: head + unit * max(1, (size - len(head) - len(tail)) // len(unit)) + tail


def counted(unit: str, head: str = "", tail: str = "") -> Make:
    """Repeat a unit that holds its number, %(i)d, and the next one, %(j)d."""

    def make(size: int) -> str:
        parts, total = [head], len(head) + len(tail)
        number = 0
        while total < size:
            parts.append(unit % {"i": number, "j": number + 1})
            total += len(parts[-1])
            number += 1
        return "".join([*parts, tail])

    return make


def halves(first: Make, second: Make) -> Make:
    """Join two texts of half the size each."""
    return lambda size: first(size // 2) + second(size // 2)


def nested(opening: str, inner: str, closing: str, head: str = "", tail: str = "") -> Make:
    """Nest as deep as the size allows."""
    return lambda size: (
        head + opening * (size // len(opening + closing)) + inner + closing * (size // len(opening + closing)) + tail
    )


def staircase(unit: str, then: str) -> Make:
    """Indent a line ever deeper, and put short lines behind."""
    return lambda size: "".join(" " * step + unit for step in range(int(size**0.5))) + then * (size // 2 // len(then))


MARKDOWN: dict[str, tuple[Make, str]] = {
    "fences": (again("```\n```\n", BLOCK), PAGE),
    "fences of bad axioms": (again("```owl\nSubClassOf(mv:A zz:B)\n```\n", BLOCK), PAGE),
    "ticks": (again("``` ` "), PAGE),
    "brackets": (again("[[", BLOCK + "  - a:: [[x]] "), PAGE),
    "links": (counted("[[x%(i)d]] via y ", BLOCK + "  - a:: "), PAGE),
    "open comments on a line": (again("<!--", BLOCK + "  - a:: "), PAGE),
    "open comments of a page property": (again("<!--", "a:: "), PAGE),
    "a comment never closed": (again("a", BLOCK + "<!--\n"), PAGE),
    "half closed comments": (again("--", BLOCK + "<!--\n"), PAGE),
    "commas of an alias": (again(",", BLOCK + "  - alias:: "), PAGE),
    "blocks within blocks": (staircase("- ### OntologyBlock\n", "a:: [[b]]\n"), "yields no fact"),
    "axiom texts within axiom texts": (staircase("owl:functional-syntax:: |\n", "\n"), "yields no fact"),
    "axiom texts without a bar": (staircase("owl:functional-syntax::\n", "SubClassOf(mv:a mv:b)\n"), PAGE),
    "blanks": (again(" ", BLOCK + "  - a:: "), PAGE),
    "carriage returns": (again("\r", BLOCK), PAGE),
    "control characters": (again("\x1b[31m\x07", BLOCK + "  - preferred-term:: "), PAGE),
    "JSON nested 900 deep": (lambda _: JSON + ',"x":' + "[" * 900 + "]" * 900 + "}\n```\n", "nested deeper than 200"),
    "JSON nested without end": (again("[", JSON + ',"x":'), "never closed"),
    "a JSON number": (again("9", JSON + ',"x":', "}\n```\n"), "bad JSON"),
    "JSON relations": (counted('"r%(i)d":{"@id":"urn:x"},', JSON + ',"relations":{', '"z":1}}\n```\n'), PAGE),
    "half a character in JSON": (again("\\ud800", JSON + ',"x":"', '"}\n```\n'), "bad JSON"),
}
FUNCTIONAL: dict[str, tuple[Make, str]] = {
    "escaped quotation marks": (again('\\"', FENCE + 'SubClassOf(mv:A "', "\n```\n"), PAGE),
    "strings cut by statements": (again('\nSubClassOf(\\"', FENCE + 'SubClassOf(mv:A "', "\n```\n"), PAGE),
    "strings cut, and closed": (again('\nSubClassOf(\\"', FENCE + 'SubClassOf(mv:A "', '"\n```\n'), PAGE),
    "no statements": (again("F()", FENCE, "\n```\n"), PAGE),
    "bad statements": (counted("SubClassOf(mv:A%(i)d zz:B)\n", FENCE, "\n```\n"), PAGE),
    "parentheses": (again("(", FENCE, "\n```\n"), PAGE),
    "closing parentheses": (again(")", FENCE, "\n```\n"), PAGE),
    "prefixes, then bad statements": (
        halves(counted("Prefix(a%(i)d:=<urn:a>)\n", FENCE), again("SubClassOf(zz:A)\n")),
        PAGE,
    ),
    "prefixes between bad statements": (counted("Prefix(a%(i)d:=<urn:a>)\nSubClassOf(zz:A)\n", FENCE, "\n```\n"), PAGE),
    "a long prefix": (
        halves(again("a", FENCE + "Prefix(p:=<urn:", ">)\n"), again("SubClassOf(p:a p:b)\n")),
        "stands for more than 1024 bytes",
    ),
    "a cardinality": (again("9", FENCE + "SubClassOf(mv:A ObjectMinCardinality(", " mv:p))\n```\n"), PAGE),
    "a cardinality behind a comment": (
        again("9", FENCE + "SubClassOf(mv:A ObjectMinCardinality( #\n", " mv:p))\n```\n"),
        PAGE,
    ),
    "a word": (again("a", FENCE + "SubClassOf(mv:A ", ")\n```\n"), PAGE),
    "nested expressions": (nested("ObjectComplementOf(", "mv:B", ")", FENCE + "SubClassOf(mv:A ", ")\n```\n"), PAGE),
    "blank nodes of one statement": (counted(" _:b%(i)d", FENCE + "DifferentIndividuals(", ")\n```\n"), PAGE),
    "a chain of blank nodes": (counted("ObjectPropertyAssertion(mv:p _:b%(i)d _:b%(j)d)\n", FENCE, "\n```\n"), PAGE),
    "disjoint classes": (counted(" mv:A%(i)d", FENCE + "DisjointClasses(", ")\n```\n"), PAGE),
}
RDF_FILES: dict[str, tuple[str, Make, str]] = {
    "prefixes": ("ttl", counted("@prefix p: <urn:p%(i)d:> .\n", "", "<urn:a> a <urn:b> ."), PAGE),
    "a long namespace": (
        "ttl",
        halves(again("a", "@prefix p: <urn:", "> .\n"), counted("p:a%(i)d p:b p:c .\n")),
        "written in full take more than",
    ),
    "a long base": (
        "ttl",
        halves(again("a", "@base <http://a/", "> .\n"), counted("<#a%(i)d> <#b> <#c> .\n")),
        "written in full take more than",
    ),
    "nested blank nodes": ("ttl", again("[:p ", HEADS + ":x :y ", " ."), "nested too deeply"),
    "lists": ("ttl", again("1 ", HEADS + ":x :y (", ") ."), "more than 110,000 statements"),
    "expressions that share one": (
        "ttl",
        halves(counted(":a%(i)d ", HEADS + "_:u owl:unionOf (", ") .\n"), counted(":x%(i)d rdfs:subClassOf _:u .\n")),
        "10000 parts|share parts",
    ),
    "a list in a circle": (
        "ttl",
        counted(
            ":x%(i)d rdfs:subClassOf [owl:unionOf _:l] .\n", HEADS + ":a a owl:Class . _:l rdf:first :a; rdf:rest _:l ."
        ),
        PAGE,
    ),
    "blank nodes": ("ttl", counted("_:b%(i)d :p _:b%(j)d .\n", HEADS), PAGE),
    "a chain of blank nodes": ("nt", counted("_:a%(i)d <urn:b> _:a%(j)d .\n"), PAGE),
    "half a character": ("nt", again("\\ud800", '<urn:a> <urn:b> "', '" .\n'), "half a character"),
    "graphs": ("nq", counted('<urn:a> <urn:b> "c" <urn:g%(i)d> .\n'), PAGE),
    "prefixes of graphs": ("trig", counted("@prefix p%(i)d: <urn:p%(i)d:> .\n"), "more than 2,000 prefixes"),
    "prefixes as terms": (
        "jsonld",
        counted('"a%(i)d":{"@id":"urn:%(i)d/","@prefix":true},', '{"@context":{', '"z":"urn:z"},"a1":"b"}'),
        "more than 2,000 prefixes",
    ),
    "open graphs": ("trig", again("{"), "bad trig"),
    "namespaces": (
        "rdf",
        counted(' xmlns:a%(i)d="urn:%(i)d"', f'<rdf:RDF xmlns:rdf="{RDF}"', "></rdf:RDF>"),
        "more than 1000 namespaces",
    ),
    "a literal's tags": ("rdf", again("<b>x</b>", XML + LITERAL, LABEL_END), "an XML literal of more than"),
    "a literal's depth": ("rdf", nested("<b>", "", "</b>", XML + LITERAL, LABEL_END), "nested deeper than"),
    "a text's lines": ("rdf", again("a\n", XML + LABEL, LABEL_END), PAGE + "|a text of more than"),
    "comments": ("xml", again("<?a ?><!---->"), "bad turtle|without an ontology"),
    "blanks before a declaration": ("rdf", again(" <?xml", ""), "bad xml"),
    "an attribute that hides depth": (
        "owl",
        nested('<ObjectComplementOf x="/>">', "", "</ObjectComplementOf>", OWX, "</Ontology>"),
        "nested deeper than",
    ),
    "a set that hides depth": ("omn", nested("({:a, :b} and ", ":b", ")", OMN), "nested deeper than"),
    "a string that hides depth": ("omn", nested('(:p value ")))" and ', ":b", ")", OMN), "nested deeper than"),
    "annotations of annotations": (
        "omn",
        again("Annotations: ", OMN.replace("SubClassOf: ", "")),
        "nested deeper than",
    ),
    "a comment that hides depth": ("omn", nested("( #))\n", ":b", ")", OMN), "nested deeper than"),
    "a chain of terms": (
        "jsonld",
        counted('"a%(j)d":"a%(i)d:xxx",', '{"@context":{"a0":"urn:0",', '"z":"urn:z"},"@id":"urn:x","a1":"b"}'),
        "leads through more than",
    ),
    "terms in a circle": ("jsonld", lambda _: '{"@context":{"a":"b:x","b":"a:x"},"a":"b"}', "or in a circle"),
    "contexts within contexts": (
        "jsonld",
        halves(
            counted('"a%(i)d":"urn:%(i)d",', '{"@context":{', '"z":"urn:z"},"@graph":['),
            counted('{"@context":{},"@id":"urn:x%(i)d","a1":"b"},', "", "{}]}"),
        ),
        "are too many|" + PAGE,
    ),
    "a long term": (
        "jsonld",
        again("a", '{"@context":{"p":"urn:', '"},"@id":"urn:x","p":"q"}'),
        "more than 1024 bytes",
    ),
    "nested JSON": ("jsonld", lambda _: VOCAB + '{"a":' * 900 + "1" + "}" * 901, "nested deeper than"),
    "a number": ("jsonld", again("9", VOCAB, "}"), "bad JSON|" + PAGE),
}
TABLE: dict[str, tuple[bytes, Make, str]] = {
    **{f"md: {name}": (b"a.md", make, expected) for name, (make, expected) in (MARKDOWN | FUNCTIONAL).items()},
    **{
        f"{name[1]}: {name[0]}": made
        for name, made in (
            ((name, suffix), (b"a." + suffix.encode(), make, expected))
            for name, (suffix, make, expected) in RDF_FILES.items()
        )
    },
}
