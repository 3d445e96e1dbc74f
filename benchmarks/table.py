"""The table: rows as aligned text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.results import Row

HEAD = ("case", "of", "measured", "median", "least", "most", "", "n")
NUMBERS = range(3, 6)


def number(value: float) -> str:
    """Write a number with three digits that say something."""
    if value >= 100 or value == int(value):  # noqa: PLR2004 - that many digits
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"  # noqa: PLR2004


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """Give the table's lines; a case and its subject stand on their first row alone."""
    cells = [HEAD]
    above = ("", "")
    for row in rows:
        case, subject = row.case, row.subject
        spread = (number(row.median), number(min(row.values)), number(max(row.values)))
        shown = ("" if case == above[0] else case, "" if (case, subject) == above else subject)
        cells.append((*shown, row.measure, *spread, row.unit, str(len(row.values))))
        above = (case, subject)
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    for line in cells:
        yield "  ".join(
            cell.rjust(width) if column in NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
