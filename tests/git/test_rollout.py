"""Which paths are live at a percentage: for ever the same ones."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visionflow_daemon.git.changes import selection
from visionflow_daemon.git.rollout import POSITIONS, position, share

# Made once, by `printf 'visionflow-daemon rollout\\0%s' PATH | sha256sum | cut -c1-16`.
# They must never change: files would go and come.
POSITION = {
    b"a.md": 0x36D8D56242357CED,
    b"b.md": 0xEF177785CD7781F4,
    b"README.md": 0xE0E72DB98F5FBA91,
    b"pages/Animal.md": 0xB194283D6B7A3E8A,
    b"pages/na\xc3\xafve caf\xc3\xa9.md": 0xACCFE50591630CCA,
    b"pages/caf\xe9.md": 0x11F75A3CD1E6E706,
    b"ontology/pages/3D Model.md": 0xCC752C2F221435B1,
    b"x/y/z.ttl": 0x9E2FBD42F8C5879D,
}
PERCENT = st.floats(0, 100, exclude_min=True)


@pytest.mark.parametrize("path", list(POSITION))
def test_the_place_of_a_path_never_changes(path: bytes) -> None:
    assert position(path) == POSITION[path]


def test_the_files_that_are_live_are_those_below_the_percentage() -> None:
    live = {percent: [path for path in POSITION if share(percent)(path)] for percent in (25, 50, 100)}
    assert live == {25: [b"a.md", b"pages/caf\xe9.md"], 50: [b"a.md", b"pages/caf\xe9.md"], 100: list(POSITION)}


@given(st.binary(min_size=1), PERCENT, PERCENT)
def test_what_is_live_at_a_percentage_is_live_at_each_higher_one(path: bytes, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert not share(low)(path) or share(high)(path)
    assert share(100)(path)


@given(st.binary(min_size=1), PERCENT)
def test_a_path_is_live_where_its_hash_is_below_the_share(path: bytes, percent: float) -> None:
    share_of_it = int(sha256(b"visionflow-daemon rollout\0" + path).hexdigest()[:16], 16) / POSITIONS * 100
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
