"""docs/house.md names the rooms that there are: every module, in the row of its folder, and none that is gone."""

from __future__ import annotations

import re

import pytest

from tests.support import PROJECT

PACKAGE = PROJECT / "visionflow_daemon"
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`([a-z_]+)`")
ROOMS = sorted(path for path in PACKAGE.rglob("*") if (path / "__init__.py").is_file())


def rows() -> list[tuple[str, str]]:
    return ROW.findall((PROJECT / "docs" / "house.md").read_text("utf-8"))


def modules(folder: str) -> set[str]:
    return {path.stem for path in (PACKAGE / folder).glob("*.py")} - {"__init__", "__main__"}


@pytest.mark.parametrize("folder", [room.relative_to(PACKAGE).as_posix() for room in ROOMS])
def test_every_module_is_named_in_the_row_of_its_folder(folder: str) -> None:
    text = " ".join(told for places, told in rows() if f"`{folder}/`" in places)
    if folder == "formats":  # it has a paragraph of its own
        text += (PROJECT / "docs" / "house.md").read_text("utf-8").partition("Within `formats/`")[2]
    assert modules(folder) - set(NAME.findall(text)) == set()


def test_the_modules_of_no_folder_have_rows() -> None:
    places = " ".join(place for place, _ in rows())
    assert {name for name in modules(".") if f"`{name}.py`" not in places} == set()


def test_no_row_names_a_module_that_is_not_there() -> None:
    for places, told in rows():
        folders = re.findall(r"`([a-z_/]+)/`", places)
        known = set().union(*map(modules, folders))
        if folders:
            assert set(NAME.findall(told)) - known == set(), places
