"""The table of faults: what was done, what was seen, what became of every image."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.e2e.fault import Row

ROWS = pytest.StashKey[list[Row]]()
SIZES = pytest.StashKey[dict[str, int]]()  # of images, in bytes

COUNTS = ("kept", "results", "repeated", "lost", "orphans", "faces blurred")
HEADER = ("fault", "that it happened", "recovered", *COUNTS)


def draw_table(rows: Sequence[Row]) -> str:
    cells = [HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADER))]
    lines = ["  ".join(_pad(line, widths)).rstrip() for line in cells]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    gone = (len(row.lost), len(row.orphans))
    counts = (row.kept, row.results, row.repeated, *gone, row.blurred)
    return (row.fault, row.happened, f"{row.recovered_s:.0f} s", *(str(count) for count in counts))


def _pad(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Texts to the left, numbers to the right."""
    return [
        cell.ljust(width) if column < 2 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
