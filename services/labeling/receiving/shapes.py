"""Label Studio's regions as shapes in pixels, and what of them could not be used.

Label Studio turns its view of a picture by CSS alone: whatever `image_rotation` says, coordinates
are of the picture as it is stored. Of one region there can be several entries with its id, one for
each control: an outline and its labels, or a choice made for a box.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydantic import JsonValue

from pipeline.annotations import CLASSES, Shape, ShapeKind
from pipeline.labels.geometry import Size
from pipeline.labels.interface import CONTROL, OBJECT
from services.labeling.receiving.outlines import (
    FORMS,
    FURTHEST_PX,
    UnusableRegion,
    draw_outline,
    fit_outline,
    reaches_outside,
    read_number,
)

MAX_PROBLEMS = 50
MAX_LABEL_CHARACTERS = 200

Region = Mapping[str, JsonValue]
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")
# By which part of its value a form is told, where only labels are given.
_TELLING = {
    "points": "polygon",
    "radiusX": "ellipse",
    "rle": "brush",
    "imageDataURL": "bitmask",
    "height": "rectangle",
    "x": "keypoint",
}


class Problems:
    """What is to be said of an annotation: each thing once, and no more than a person reads."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._unsaid = 0

    def add(self, text: str) -> None:
        if len(self._texts) < MAX_PROBLEMS:
            self._texts[text] = None
        elif text not in self._texts:
            self._unsaid += 1

    def listed(self) -> tuple[str, ...]:
        more = (f"and {self._unsaid} problems more",) if self._unsaid else ()
        return (*self._texts, *more)


@dataclass(frozen=True)
class _Entry:
    """One entry of a result: `name` to call it by, `form` of its outline ("" where its labels
    stand alone), the key of its labels ("" where it has none)."""

    name: str
    id: str | None
    type: str
    form: str
    label_key: str
    region: Region


def read_shapes(
    regions: Sequence[Region], width: int, height: int, problems: Problems
) -> tuple[Shape, ...]:
    """In pixels of the stored image, whose sides are `width` and `height`; a region with two labels
    is two shapes."""
    stored = Size(width, height)
    entries = [_sort_entry(number, region) for number, region in enumerate(regions, 1)]
    outlines = {entry.id: entry for entry in entries if entry.form}
    labelled = {entry.id for entry in entries if entry.id and entry.label_key}
    shapes: list[Shape] = []
    for entry in _drop_doubles(entries, problems):
        if entry.form and not entry.label_key and entry.id in labelled:
            continue  # its labels are an entry of their own
        try:
            shapes += _read_entry(_complete(entry, outlines), stored, problems)
        except UnusableRegion as reason:
            problems.add(f"region {entry.name}: {reason}")
    return tuple(shapes)


def _sort_entry(number: int, region: Region) -> _Entry:
    given, kind = region.get("id"), region.get("type")
    identity = given if isinstance(given, str) and given else None
    kind = kind if isinstance(kind, str) else ""
    bare = kind.removesuffix("labels")
    form = bare if bare in FORMS else ""
    label_key = kind if kind == "labels" or (form and bare != kind) else ""
    name = f"{identity[:40]!r}" if identity else f"number {number}"
    return _Entry(name, identity, kind, form, label_key, region)


def _drop_doubles(entries: Sequence[_Entry], problems: Problems) -> list[_Entry]:
    """An entry that is there twice counts once; two different ones by one id both count."""
    kept, seen, labelled = [], set(), set()
    for entry in entries:
        if entry.id:
            text = json.dumps(entry.region, sort_keys=True)
            if text in seen:
                problems.add(f"region {entry.name}: it is there twice")
                continue
            seen.add(text)
        if entry.id and entry.label_key:
            if entry.id in labelled:
                problems.add(f"region {entry.name}: two have its id, both are kept")
            labelled.add(entry.id)
        kept.append(entry)
    return kept


def _complete(entry: _Entry, outlines: Mapping[str | None, _Entry]) -> _Entry:
    """Labels alone take their outline from the entry beside them, else from what they hold."""
    if entry.type != "labels":
        return entry
    beside = outlines.get(entry.id) if entry.id else None
    if beside is not None:
        value = {**_value(beside.region), **_value(entry.region)}
        return replace(entry, form=beside.form, region={**beside.region, "value": value})
    value = _value(entry.region)
    forms = (form for key, form in _TELLING.items() if key in value)
    return replace(entry, form=next(forms, ""))


def _read_entry(entry: _Entry, stored: Size, problems: Problems) -> list[Shape]:
    if not entry.form:
        raise UnusableRegion(f"{entry.type!r:.60} is no shape" if entry.type else "it has no type")
    if entry.region.get("item_index") not in (None, 0):
        raise UnusableRegion("it is on another picture of its task")
    value = _value(entry.region)
    labels = _read_labels(value.get(entry.label_key))
    drawn_on = _read_size(entry.region, stored, problems)
    kind, points = draw_outline(entry.form, value, drawn_on, stored)
    fitted = fit_outline(kind, points, stored)
    _note(entry, labels, problems)
    if reaches_outside(points, stored):
        what = "reaches outside" if kind is ShapeKind.ROTATED_BOX else "was clipped to"
        problems.add(f"region {entry.name}: it {what} the image")
    return [Shape(label=label, kind=kind, points=fitted) for label in labels]


def _value(region: Region) -> dict[str, JsonValue]:
    value = region.get("value")
    if not isinstance(value, dict):
        raise UnusableRegion("it has no value")
    return value


def _read_labels(given: JsonValue) -> list[str]:
    labels = given if isinstance(given, list) else []
    named = [label for label in labels if isinstance(label, str) and label]
    if not named or len(named) < len(labels):
        raise UnusableRegion("it has no label")
    if any(len(name) > MAX_LABEL_CHARACTERS or _CONTROL_CHARACTERS.search(name) for name in named):
        raise UnusableRegion("its label is too long, or holds control characters")
    return list(dict.fromkeys(named))


def _read_size(region: Region, stored: Size, problems: Problems) -> Size:
    """Of the picture it was drawn on: percentages hold whatever it is, angles do not."""
    width, height = region.get("original_width"), region.get("original_height")
    try:
        drawn_on = Size(read_number(width, "width"), read_number(height, "height"))
    except UnusableRegion:
        problems.add("the size of the picture is not told: the stored image's is used")
        return stored
    if not (1 <= drawn_on.width <= FURTHEST_PX and 1 <= drawn_on.height <= FURTHEST_PX):
        problems.add("the size of the picture is not one: the stored image's is used")
        return stored
    if drawn_on != stored:
        problems.add(
            f"drawn on a picture of {drawn_on.width:g} × {drawn_on.height:g} pixels, "
            f"the stored one has {stored.width} × {stored.height}: percentages hold"
        )
    return drawn_on


def _note(entry: _Entry, labels: Sequence[str], problems: Problems) -> None:
    """What is used as it is, and a person should still know of."""
    region = entry.region
    for key, ours in (("from_name", CONTROL), ("to_name", OBJECT)):
        if region.get(key) != ours:
            problems.add(f"{key} is {region.get(key)!r:.60} and not '{ours}': kept all the same")
    if region.get("image_rotation") not in (None, 0):
        problems.add("the picture was shown turned: coordinates are of the unturned one")
    if entry.form == "ellipse":
        problems.add(f"region {entry.name}: the box around an ellipse stands for it")
    if entry.form == "polygon" and _value(region).get("closed") is False:
        problems.add(f"region {entry.name}: a polygon left open, taken as closed")
    if len(labels) > 1:
        problems.add(f"region {entry.name}: its {len(labels)} labels are as many shapes")
    for label in labels:
        if label not in CLASSES:
            problems.add(f"the label {label!r} is not one of the classes")
