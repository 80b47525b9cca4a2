"""What commands print: tables for people, JSON for programs; both from the same records.

A record maps field names to values. Times are UTC in JSON and local in tables.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import typer
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

Record = Mapping[str, Any]

WIDE = 110  # characters: columns marked `wide` are for terminals from here on
EMPTY = "–"
LONG_WORD = 20  # characters: longer ones, addresses and hashes, may be broken
_UNLIMITED = 10_000  # what is no terminal has no width: one record is one line there


def show(value: object) -> str:
    """A value as a person reads it; what could steer a terminal is made visible."""
    match value:
        case None | "":
            return EMPTY
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
        case float():
            return f"{value:g}"
        case Mapping():
            return " · ".join(f"{show(key)} {show(one)}" for key, one in value.items()) or EMPTY
        case list() | tuple():
            return ", ".join(map(show, value)) or EMPTY
    return "".join(one if one.isprintable() else "�" for one in str(value))


def by_count(counts: Mapping[str, int]) -> dict[str, int]:
    """The most frequent first, then by name: the same order wherever they are shown."""
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@dataclass(frozen=True)
class Column:
    """`whole`: never wrapped, so that it can be copied; `wide`: for wide terminals alone."""

    field: str
    header: str = ""
    align: Literal["left", "right"] = "left"
    whole: bool = False
    wide: bool = False
    value: Callable[[Record], object] | None = None  # else the field's

    def show(self, record: Record) -> str:
        return show(record[self.field] if self.value is None else self.value(record))


def make_console() -> Console:
    """Standard output; rich leaves colours out for NO_COLOR and where it is no terminal."""
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _UNLIMITED
    return console


def print_whole(thing: RenderableType) -> None:
    """With nothing cut off, however narrow the terminal: its lines go on in the next row."""
    console = make_console()
    console.width = _UNLIMITED
    console.print(thing, soft_wrap=True)


def print_json(value: object) -> None:
    typer.echo(json.dumps(value, default=_encode, indent=2, ensure_ascii=False))


def print_records(
    records: Sequence[Record], columns: Sequence[Column], *, as_json: bool, none: str
) -> None:
    """`none` is said, on standard error, where there are no records."""
    if as_json:
        print_json(records)
    elif records:
        console = make_console()
        console.print(make_table(records, columns, console.width), soft_wrap=True)
    else:
        typer.echo(none, err=True)


def print_fields(record: Record, *, as_json: bool) -> None:
    """One record: a field a line, and one for each part of a field that has parts.

    What is empty is left out for people.
    """
    if as_json:
        print_json(record)
        return
    shown = [(field, show(value)) for field, value in _flatten(record) if show(value) != EMPTY]
    width = max(cell_len(field) for field, _ in shown)
    for field, text in shown:
        print_whole(Text.assemble((field.ljust(width), "bold"), f"  {text}"))


def make_table(records: Sequence[Record], columns: Sequence[Column], width: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    chosen = [column for column in columns if width >= WIDE or not column.wide]
    cells = [[column.show(record) for record in records] for column in chosen]
    for column, texts in zip(chosen, cells, strict=True):
        table.add_column(
            column.header or column.field,
            justify=column.align,
            no_wrap=column.whole,
            min_width=max(_least_width(text, column.whole) for text in texts),
            overflow="fold",
        )
    for row in zip(*cells, strict=True):
        table.add_row(*map(Text, row))
    return table


def _flatten(record: Record) -> Iterator[tuple[str, object]]:
    for field, value in record.items():
        if isinstance(value, Mapping):
            yield from ((f"{field} {part}", one) for part, one in value.items())
        else:
            yield field, value


def _least_width(text: str, whole: bool) -> int:
    """Room for all of it, or for its longest word, unless that is not a word of a language."""
    if whole:
        return cell_len(text)
    return max((cell_len(word) for word in text.split() if len(word) <= LONG_WORD), default=1)


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"no JSON for {type(value).__name__}")
