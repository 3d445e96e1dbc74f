"""Sees that log lines are what docs/log-schema.json says they are."""

from __future__ import annotations

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import jsonschema

PROJECT = Path(__file__).resolve().parent.parent
SCHEMA: dict[str, Any] = json.loads((PROJECT / "docs" / "log-schema.json").read_text())


def branches() -> dict[str, dict[str, Any]]:
    """Give the schema of each event, by its name."""
    events = {}
    for branch in SCHEMA["oneOf"]:
        found = SCHEMA["$defs"][branch["$ref"].removeprefix("#/$defs/")]
        events[found["properties"]["event"]["const"]] = found
    return events


@cache
def _validator(event: str) -> jsonschema.Draft202012Validator:
    """Make the validator of one event: its complaints name the field, and the other branches cost no time."""
    return jsonschema.Draft202012Validator({**branches()[event], "$defs": SCHEMA["$defs"]})


@lru_cache(maxsize=4096)
def complaint(line: str) -> str | None:
    """Say what is wrong with a line, None for nothing."""
    event = json.loads(line)
    if event.get("event") not in branches():
        return f"no such event: {line}"
    error = jsonschema.exceptions.best_match(_validator(event["event"]).iter_errors(event))
    return None if error is None else f"{error.json_path}: {error.message}\n{line}"
