"""Markdown: fences, page properties, wikilinks, aliases."""

from __future__ import annotations

import pytest

from visionflow_daemon.formats.markdown import (
    Fence,
    aliases,
    fences,
    is_true,
    outside_fences,
    page_properties,
    wikilinks,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n```owl\nx\ny\n```\nb\n", [Fence("owl", "x\ny", 3)]),
        ("```Python title=x\nz\n```", [Fence("python", "z", 2)]),
        ("~~~\nx\n```\n~~~\n", [Fence("", "x\n```", 2)]),
        ("````owl\n```\nx\n```\n````\n", [Fence("owl", "```\nx\n```", 2)]),
        ("- ```owl\n  x\n  ```\n", [Fence("owl", "  x", 2)]),
        ("```owl\nx\n``` y\n```\n", [Fence("owl", "x\n``` y", 2)]),
        ("```owl\nx\n", [Fence("owl", "x\n", 2, is_closed=False)]),
        ("use ```code``` inline\n```a\n1\n```\n```b\n2\n```", [Fence("a", "1", 3), Fence("b", "2", 6)]),
        ("```not `a fence\nx\n", []),
        ("no fence", []),
    ],
)
def test_fences_are_found_with_their_lines(text: str, expected: list[Fence]) -> None:
    assert list(fences(text)) == expected


def test_an_empty_fence_has_an_empty_body() -> None:
    (fence,) = fences("```owl\n```\n")
    assert (fence.body, fence.line, fence.is_closed) == ("", 2, True)


def test_lines_outside_fences_keep_their_numbers() -> None:
    text = "a\n```\nin\n```\nb\n- ~~~x\n  in\n  ~~~\nc"
    assert list(outside_fences(text)) == [(1, "a"), (5, "b"), (9, "c")]
    assert list(outside_fences("a\nb\n```\nin\n")) == [(1, "a"), (2, "b")]


def test_page_properties_end_at_the_first_bullet_or_heading() -> None:
    text = "Title:: A <!-- note -->\n\npublic:: true\ntitle:: B\nempty::\nhttp://x::y\n{}\nlate:: no\n"
    for stop in ("- bullet", "# heading", "```", "* star"):
        assert page_properties(text.format(stop)) == {"title": "A", "public": "true", "empty": ""}


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), (" True ", True), ("yes", False), ("", False), (None, False)]
)
def test_only_true_says_yes(value: str | None, expected: bool) -> None:  # noqa: FBT001
    assert is_true(value) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Pan, Skillet", ["Pan", "Skillet"]),
        ("[[Pan, flat]], Skillet", ["Pan, flat", "Skillet"]),
        (" , ,", []),
        (None, []),
    ],
)
def test_aliases_stand_between_commas(value: str | None, expected: list[str]) -> None:
    assert aliases(value) == expected


def test_wikilinks_name_pages_in_order() -> None:
    text = "[[Pan]] and [[Pot|a pot]], [[ ]] [[|x]] [[broken\nlink]] [[ Lid ]] [[Pan]] [single] #[[Tag]]"
    assert wikilinks(text) == ["Pan", "Pot", "Lid", "Pan", "Tag"]
