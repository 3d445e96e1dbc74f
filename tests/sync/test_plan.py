"""Planning: which way is taken and why, and which files are saved and deleted."""

from __future__ import annotations

import pytest

from visionflow_daemon.model import KnownFile, TreeEntry
from visionflow_daemon.sync.plan import Known, Pairs, Plan, Way, beside, choose_way, from_diff, from_tree

NOW, BEFORE, LATER = "2026-01-02T00:00:00Z", "2026-01-01T23:59:59Z", "2026-01-02T00:00:01Z"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
GOOD = Known(COMMIT, "rules", is_clean=True, is_present=True)


def entry(path: bytes, blob: str = "1") -> TreeEntry:
    return TreeEntry(path, blob)


def known(
    path: bytes, blob: str = "1", digest: str = "rules", due: str | None = None, *, bad: bool = False
) -> KnownFile:
    return KnownFile(path, blob, digest, is_failed=bad, next_attempt_at=due)


def tree_plan(tree: list[TreeEntry], files: list[KnownFile], *, full: bool = False) -> Plan:
    return from_tree("a reason", lambda: beside(tree, files), "rules", NOW, full=full)


@pytest.mark.parametrize(
    ("last", "digest", "full", "way", "reason"),
    [
        (GOOD, "rules", False, Way.DIFF, "changes since 0123456789ab"),
        (GOOD, "rules", True, Way.TREE, "every file is to be read anew"),
        (None, "rules", False, Way.TREE, "this is the first pass"),
        (
            Known(COMMIT, "rules", is_clean=False, is_present=True),
            "rules",
            False,
            Way.TREE,
            "the last pass did not come through",
        ),
        (GOOD, "other rules", False, Way.TREE, "globs, prefixes, limits or the parser changed"),
        (Known(COMMIT, None, is_clean=True, is_present=True), "rules", False, Way.TREE, "globs, prefixes, limits or"),
        (
            Known(COMMIT, "rules", is_clean=True, is_present=False),
            "rules",
            False,
            Way.TREE,
            "the checkpoint 0123456789ab is no longer in the repository",
        ),
    ],
    ids=["diff", "full", "first", "cut off", "rules changed", "rules unknown", "checkpoint gone"],
)
def test_the_fast_way_is_taken_only_from_a_proven_checkpoint(
    last: Known | None, digest: str, way: Way, reason: str, *, full: bool
) -> None:
    chosen, why = choose_way(last, digest, full=full)
    assert chosen is way
    assert why.startswith(reason)


def test_full_goes_before_every_other_reason() -> None:
    assert choose_way(None, "x", full=True) == (Way.TREE, "every file is to be read anew")


@pytest.mark.parametrize(
    ("tree", "files", "saves", "deletes"),
    [
        ([], [], [], []),
        ([b"a", b"b"], [], [b"a", b"b"], []),
        ([], [b"a", b"b"], [], [b"a", b"b"]),
        ([b"a", b"c"], [b"b", b"d"], [b"a", b"c"], [b"b", b"d"]),
        ([b"b", b"d"], [b"a", b"c"], [b"b", b"d"], [b"a", b"c"]),
        ([b"a", b"b", b"c"], [b"b"], [b"a", b"c"], []),
        ([b"a-b", b"a/b", b"a0"], [b"a-b", b"a/c", b"a0"], [b"a/b"], [b"a/c"]),
        ([b"\xc3\xa9", b"\xff"], [b"z", b"\xc3\xa9"], [b"\xff"], [b"z"]),
    ],
    ids=["nothing", "all new", "all gone", "turns", "turns again", "one known", "folders", "bytes"],
)
def test_tree_against_table_saves_what_is_new_and_deletes_what_is_gone(
    tree: list[bytes], files: list[bytes], saves: list[bytes], deletes: list[bytes]
) -> None:
    plan = tree_plan([entry(path) for path in tree], [known(path) for path in files])
    assert [each.path for each in plan.saves] == saves
    assert list(plan.deletes) == deletes
    assert (plan.way, plan.reason, plan.size) == (Way.TREE, "a reason", len(saves) + len(deletes))


@pytest.mark.parametrize(
    ("file", "is_saved"),
    [
        (known(b"a"), False),
        (known(b"a", blob="2"), True),
        (known(b"a", digest="older rules"), True),
        (known(b"a", bad=True), False),
        (known(b"a", due=BEFORE, bad=True), True),
        (known(b"a", due=NOW, bad=True), True),
        (known(b"a", due=LATER, bad=True), False),
        (known(b"a", blob="2", due=LATER, bad=True), True),
        (known(b"a", due=BEFORE), False),
    ],
    ids=[
        *("same", "other content", "other rules", "failed for good", "overdue", "due now", "not due yet"),
        *("not due, but changed", "not failed"),
    ],
)
def test_tree_against_table_repeats_only_what_changed_or_is_due(file: KnownFile, *, is_saved: bool) -> None:
    assert tree_plan([entry(b"a")], [file]).to_save == int(is_saved)


def test_full_saves_what_did_not_change_and_still_deletes_what_is_gone() -> None:
    plan = tree_plan(
        [entry(b"a"), entry(b"b")], [known(b"a"), known(b"b", due=LATER, bad=True), known(b"c")], full=True
    )
    assert ([each.path for each in plan.saves], list(plan.deletes)) == ([b"a", b"b"], [b"c"])


def test_a_diff_gives_saves_and_deletes_each_in_the_order_of_bytes() -> None:
    changes = [(b"z", entry(b"z")), (b"b", None), (b"\xff", None), (b"a", entry(b"a")), (b"B", None)]
    plan = from_diff("since", changes, [])
    assert plan == Plan(Way.DIFF, "since", (entry(b"a"), entry(b"z")), 2, (b"B", b"b", b"\xff"), 3)


def test_a_rename_is_an_add_and_a_delete() -> None:
    plan = from_diff("since", [(b"old", None), (b"new", entry(b"new", "7"))], [])
    assert (plan.saves, plan.deletes, plan.size) == ((entry(b"new", "7"),), (b"old",), 2)


def test_files_due_in_the_ledger_ride_along_with_a_diff() -> None:
    plan = from_diff("since", [(b"b", entry(b"b"))], [(b"a", entry(b"a")), (b"c", entry(b"c")), (b"gone", None)])
    assert [each.path for each in plan.saves] == [b"a", b"b", b"c"]
    assert plan.deletes == (b"gone",)


def test_files_due_in_the_ledger_alone_make_a_plan() -> None:
    assert from_diff("since", [], [(b"a", entry(b"a"))]).size == 1


@pytest.mark.parametrize("change", [entry(b"a", "new"), None], ids=["changed", "deleted"])
def test_a_change_counts_over_the_ledger_and_a_file_is_planned_once(change: TreeEntry | None) -> None:
    plan = from_diff("since", [(b"a", change)], [(b"a", entry(b"a", "old"))])
    assert (plan.saves, plan.deletes) == (((change,), ()) if change else ((), (b"a",)))


def test_a_plan_by_tree_is_counted_at_once_and_made_anew_each_time_it_is_gone_through() -> None:
    made: list[int] = []

    def pairs() -> Pairs:
        made.append(0)
        tree = (entry(b"%05d" % number) for number in range(2_000))
        files = (known(b"%05d" % number) for number in range(0, 3_000, 2))
        for pair in beside(tree, files):
            made[-1] += 1
            yield pair

    plan = from_tree("a reason", pairs, "rules", NOW, full=False)
    assert (plan.to_save, plan.to_delete, made) == (1_000, 500, [2_500])
    first = next(iter(plan.saves))
    assert (first, made) == (entry(b"00001"), [2_500, 2])  # no further than it was asked for
    assert len(list(plan.saves)) == len(list(plan.saves)) == 1_000
    assert len(list(plan.deletes)) == 500
