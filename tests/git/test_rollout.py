"""Which paths are live at a percentage: for ever the same ones."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow_daemon.git.changes import selection
from visionflow_daemon.git.rollout import POSITIONS, position, share

# Made once, by `printf %s PATH | sha256sum | cut -c1-16`. They must never change: files would go and come.
POSITION = {
    b"a.md": 0xFECCCC97532467AD,
    b"b.md": 0x11DD481A3DA4AEAE,
    b"README.md": 0xB335630551682C19,
    b"pages/Animal.md": 0x20F260C40BD36819,
    b"pages/na\xc3\xafve caf\xc3\xa9.md": 0x4BD1CC46352FA224,
    b"pages/caf\xe9.md": 0x8EBC0F6402415E50,
    b"ontology/pages/3D Model.md": 0x04BD55FBF6995C54,
    b"x/y/z.ttl": 0x94F27CF5CCA448EB,
}
PERCENT = st.floats(0, 100, exclude_min=True)


@pytest.mark.parametrize("path", list(POSITION))
def test_the_place_of_a_path_never_changes(path: bytes) -> None:
    assert position(path) == POSITION[path]


def test_the_files_that_are_live_are_those_below_the_percentage() -> None:
    live = {percent: [path for path in POSITION if share(percent)(path)] for percent in (10, 50, 100)}
    assert live == {
        10: [b"b.md", b"ontology/pages/3D Model.md"],
        50: [b"b.md", b"pages/Animal.md", b"pages/na\xc3\xafve caf\xc3\xa9.md", b"ontology/pages/3D Model.md"],
        100: list(POSITION),
    }


@given(st.binary(min_size=1), PERCENT, PERCENT)
def test_what_is_live_at_a_percentage_is_live_at_each_higher_one(path: bytes, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert not share(low)(path) or share(high)(path)
    assert share(100)(path)


@given(st.binary(min_size=1), PERCENT)
def test_a_path_is_live_where_its_hash_is_below_the_share(path: bytes, percent: float) -> None:
    share_of_it = int(sha256(path).hexdigest()[:16], 16) / POSITIONS * 100
    if abs(share_of_it - percent) > 1e-9:  # where floating point is in no doubt
        assert share(percent)(path) == (share_of_it < percent)


def test_a_tenth_of_many_paths_is_a_tenth_and_each_folder_has_its_share() -> None:
    for folder in ("pages", "other/deep"):
        live = sum(map(share(10), (f"{folder}/{number}.md".encode() for number in range(20_000))))
        assert live == pytest.approx(2_000, abs=150)


def test_globs_and_rollout_choose_together() -> None:
    paths = [f"{folder}/{number}.md".encode() for folder in ("a", "b") for number in range(200)]
    chosen = [path for path in paths if selection(["/a/*.md"], [], 25)(path)]
    assert chosen == [path for path in paths if path.startswith(b"a/") and share(25)(path)]
    assert 20 < len(chosen) < 80
