"""Label Studio's notes.json, which names the classes of a YOLO export.

Not classes.txt: a line's number there need not be the class's id.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.errors import UserError

NOTES = "notes.json"
MAX_CLASSES = 10_000


def read_notes(data: bytes) -> Mapping[int, str]:
    """The classes by id. UserError for anything else, and where two share an id."""
    try:
        categories = json.loads(data)["categories"]
        named = [(entry["id"], entry["name"]) for entry in categories]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{NOTES} is not the one of a Label Studio export") from None
    classes: dict[int, str] = {}
    for number, name in named:
        if type(number) is not int or not 0 <= number < MAX_CLASSES or not isinstance(name, str):
            raise UserError(f"{NOTES} has a class without a usable id or name")
        if number in classes:
            raise UserError(
                f"{NOTES} gives {classes[number]!r} and {name!r} the same id {number}: their boxes "
                "cannot be told apart. Give the labels categories of their own, and export again"
            )
        classes[number] = name
    return classes
