"""Turns parsed TOML into the configuration's values, taking no value for another type's."""

from __future__ import annotations

import re
from typing import Any

import cattrs
from cattrs.gen import make_dict_structure_fn

from visionflow_daemon.config.values import Config
from visionflow_daemon.environment import Given
from visionflow_daemon.errors import ConfigError

SECTIONS = ("reading", "sync", "daemon", "http", "webhook", "network", "postgresql", "breaker", "backup", "log")
LISTS = ("sources", "notifications")
STEP = re.compile(r"\['([^']*)'\]|([^.\[\]]+)")
"""One step of where a mistake is: a key or a number; a key that may be anything stands in brackets and quotes."""


def structured(data: dict[str, Any]) -> tuple[Config, list[str]]:
    """Turn data into a configuration, and give the mistakes of kind; the keys that hold them keep their defaults."""
    converter = _converter()
    wrong = [name for name in SECTIONS if not isinstance(data.get(name, {}), dict)]
    problems = [f"{name}: a section is due, not {data.pop(name)!r}" for name in wrong]
    for name in LISTS:
        sections = data.get(name, [])
        if not isinstance(sections, list) or not all(isinstance(section, dict) for section in sections):
            problems.append(f"{name}: a list of sections is due, [[{name}]]")
            del data[name]
    while True:
        try:
            return converter.structure(data, Config), problems
        except cattrs.BaseValidationError as error:
            found = [_readable(line) for line in cattrs.transform_error(error, path="", format_exception=_why)]
        problems += found
        if not all([_without(data, problem) for problem in found]):  # noqa: C419 - each is to be taken out
            raise ConfigError(*problems)


def _without(data: dict[str, Any], problem: str) -> bool:
    """Take out of the data what a problem is about, so that the rest can be looked at; tell whether that worked."""
    where, _, reason = problem.partition(": ")
    if where.startswith("there is no such key"):
        where, reason = "", problem
    place: Any = data
    path = [int(step) if step.isdecimal() else key or step for key, step in STEP.findall(where)]
    unknown = re.match(r"there is no such key: (.*)", reason)
    doomed = unknown[1].split(", ") if unknown else [path.pop()] if path else []
    try:
        for step in path:
            place = place[step]
        for key in doomed:
            del place[key]
    except (KeyError, IndexError, TypeError):
        return False
    return bool(doomed)


def _converter() -> cattrs.Converter:
    """Make a converter that takes no value for another type's, and no key that it doesn't know."""
    converter = cattrs.Converter(detailed_validation=True, forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(float, lambda value, _: float(_exactly(value, int | float)))
    converter.register_structure_hook(str | None, lambda value, _: _exactly(value, str))
    converter.register_structure_hook(float | None, lambda value, _: float(_exactly(value, int | float)))
    converter.register_structure_hook(int | None, lambda value, _: _exactly(value, int))
    strings = tuple[str, ...]
    converter.register_structure_hook_func(lambda kind: kind in (strings, strings | None), _strings)
    hook = make_dict_structure_fn(Config, converter, _cattrs_forbid_extra_keys=True, base=cattrs.override(omit=True))
    converter.register_structure_hook(Config, hook)
    return converter


def _exactly(value: Any, kind: Any) -> Any:  # noqa: ANN401 - a leaf of parsed TOML, and its type
    if isinstance(value, Given):
        value = value.text() if kind is str else value.read()
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = {str: "a string", int: "a whole number", bool: "true or false"}.get(kind, "a number")
        raise TypeError(f"{wanted} is due, not {value!r}")
    return value


def _strings(value: Any, _: Any) -> tuple[str, ...]:  # noqa: ANN401 - a leaf of parsed TOML
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"a list of strings is due, not {value!r}")
    return tuple(value)


def _why(error: BaseException, _: type | None) -> str:
    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"there is no such key: {', '.join(sorted(error.extra_fields))}"
    if isinstance(error, KeyError):
        return f"the key {error.args[0]!r} is missing"
    return str(error)


def _readable(line: str) -> str:
    """Turn `reason @ .section.key` into `section.key: reason`."""
    reason, _, where = line.rpartition(" @ ")
    where = where.lstrip(".")
    return f"{where}: {reason}" if where else reason
