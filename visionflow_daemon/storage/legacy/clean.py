"""Makes clean values of whatever an old database holds: texts, IRIs, JSON. Pure.

Nothing is refused here that can be kept in some form; the row as it was stays in the archive.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

PREFIXED = re.compile(r"([A-Za-z_][\w.-]*)?:(?!//)([^\s<>\"{}|\\^`()]*)\Z")
TRUE = frozenset({"1", "true", "yes", "t", "y"})
TYPES = {
    "object": "ObjectProperty",
    "data": "DataProperty",
    "datatype": "DataProperty",
    "annotation": "AnnotationProperty",
}
"""Kinds of properties, in lower case and without `property` at the end."""

Json = Any


def text(value: object) -> str | None:
    """Give a value as text: bytes that are not UTF-8 escaped as in a Python bytes literal."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


def iri(value: object, prefixes: Mapping[str, str]) -> str | None:
    """Give the IRI that a value names, a prefixed name of a known prefix expanded; None where it names nothing."""
    name = (text(value) or "").strip()
    if name.startswith("<") and name.endswith(">"):
        name = name[1:-1].strip()
    return _expanded(name, prefixes) or None


def operand(value: object, prefixes: Mapping[str, str]) -> str | None:
    """Give what an axiom names: an IRI as `iri` does; a literal or an expression stays as it is."""
    written = text(value)
    if written is None or not written.strip():
        return None
    name = written.strip()
    return written if '"' in name or "(" in name else iri(name, prefixes)


def property_type(value: object) -> str:
    """Give OWL's name of a kind of property; a name that isn't known stays."""
    written = (text(value) or "").strip()
    known = TYPES.get(written.rpartition(":")[2].lower().removesuffix("property").rstrip("_- "))
    return known or written or "ObjectProperty"


def truth(value: object) -> bool:
    """Tell whether a flag is set, however it is written."""
    return value is not None and (text(value) or "").strip().lower() in TRUE


def json_of(value: object) -> Json:
    """Read a JSON value; None where it is none, or empty."""
    written = text(value)
    if written is None:
        return None
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        return None


def canonical(value: Json) -> str:
    """Write a JSON value the one way that is compared."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def shown(value: object) -> Json:
    """Write a column's value as JSON can, without loss: what is no UTF-8 as its bytes in hexadecimal."""
    if isinstance(value, bytes):
        return {"blob": value.hex()}
    if isinstance(value, float) and canonical(value) == "null":
        return str(value)
    return value


def class_of_several(value: object, connective: str, prefixes: Mapping[str, str]) -> str | None:
    """Give the domain or range that a column holds: an IRI, or a JSON array of them, which OWL means all at once."""
    found = json_of(value)
    if isinstance(found, str):
        return operand(found, prefixes)
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        return operand(value, prefixes) if found is None and text(value) not in {"null", ""} else _other(found, value)
    names = sorted({name for each in found if (name := operand(each, prefixes))})
    if len(names) < 2:  # noqa: PLR2004 - one needs no connective
        return names[0] if names else None
    return f"{connective}({' '.join(name if '(' in name else f'<{name}>' for name in names)})"


def _other(found: Json, value: object) -> str | None:
    return None if found in (None, {}, "") else text(value)


def _expanded(name: str, prefixes: Mapping[str, str]) -> str:
    if (match := PREFIXED.match(name)) and (match.group(1) or "") in prefixes:
        return prefixes[match.group(1) or ""] + match.group(2)
    return name
