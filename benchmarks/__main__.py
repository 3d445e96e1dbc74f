"""`python -m benchmarks`: measures, prints one table, and writes it as JSON, too."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import inputs, results, servers, table
from benchmarks.cases import CASES
from benchmarks.inputs import Input
from benchmarks.process import ROOT
from benchmarks.stage import Stage

SIZES, QUICK_SIZES = (974, 8_000), (60, 120)
LINKS, QUICK_LINKS = 6_000, 200
ROUNDS = 5
CORPUS = ROOT.parent / "shared" / "corpora" / "narrativegoldmine-974.bundle"
CORPUS_INCLUDE = "ontology/pages/*.md"


LEAST = 20
"""So few pages have some of each change that is measured."""


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(sorted({int(each) for each in text.split(",")}))
    if sizes[0] < LEAST:
        raise argparse.ArgumentTypeError(f"{sizes[0]} pages are too few: at least {LEAST} are due")
    return sizes


def _cases(text: str) -> tuple[str, ...]:
    given = set(text.split(","))
    if unknown := given - set(CASES):
        raise argparse.ArgumentTypeError(f"no such case: {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    return tuple(each for each in CASES if each in given)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: does it run, not how fast it is")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="how often each case is measured [default: 5]")
    parser.add_argument("--sizes", type=_sizes, default=SIZES, help="pages to generate [default: 974,8000]")
    parser.add_argument("--corpus", type=Path, help="a real repository or bundle [default: the one beside the project]")
    parser.add_argument("--corpus-include", metavar="GLOB", default=CORPUS_INCLUDE, help="which of its files")
    parser.add_argument("--only", type=_cases, default=tuple(CASES), metavar="CASE,…", help=", ".join(CASES))
    parser.add_argument("--seed", type=int, default=1, help="of what is generated [default: 1]")
    parser.add_argument("--work", type=Path, help="a folder where generated repositories are kept")
    parser.add_argument("--database", metavar="URL", help="a PostgreSQL database, by whose role others can be made")
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks" / "results" / "latest.json")
    return parser.parse_args()


def main() -> None:
    """Measure."""
    options = _options()
    sizes, links, rounds = options.sizes, LINKS, options.rounds
    if options.quick:
        sizes, links, rounds = QUICK_SIZES, QUICK_LINKS, 1
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as temporary:
        work = (options.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="scratch-", dir=work) as scratch:
            real = _corpus(options, work)
            made = [inputs.generated(work, options.seed, size) for size in sizes]
            stage = Stage(
                (*real, *made), inputs.hub(work, links), rounds, options.quick, Path(scratch), options.database
            )
            for case in options.only:
                CASES[case](stage)
    rows = stage.sheet.rows()
    said: dict[str, Any] = {
        "sizes": sizes,
        "rounds": rounds,
        "seed": options.seed,
        "quick": options.quick,
        "cases": options.only,
    }
    if options.database is not None:
        said["server"] = servers.described(options.database)
    results.write(options.json, said, [_described(each) for each in (*stage.inputs, stage.hub)], rows)
    known = results.machine()
    print(", ".join(f"{name} {known[name]}" for name in ("python", "cpus", "pygit2", "sqlite", "platform")))
    for line in table.lines(rows):
        print(line)
    print(f"written to {options.json}")


def _corpus(options: argparse.Namespace, work: Path) -> list[Input]:
    """Find the real repository, if there is one."""
    if options.corpus is not None:
        return [inputs.corpus(work, options.corpus, options.corpus_include)]
    if options.quick:
        return []
    if not CORPUS.exists():
        print(f"left out, as it is not there: {CORPUS.name}")
        return []
    return [inputs.corpus(work, CORPUS, options.corpus_include)]


def _described(what: Input) -> dict[str, Any]:
    known = asdict(what)
    del known["repository"]
    return known


if __name__ == "__main__":
    main()
