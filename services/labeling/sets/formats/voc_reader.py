"""Pascal VOC: an XML per image. Its pixels count from 1, both ends included."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from pipeline.annotations import Shape, ShapeKind
from pipeline.errors import UserError
from services.labeling.sets.formats.packages import MAX_TEXT_BYTES, Package
from services.labeling.sets.formats.pictures import find_picture, index_pictures
from services.labeling.sets.formats.vocabulary import FoundLabels

MAX_SHAPES = 20_000  # of one image
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_voc(package: Package) -> Iterator[FoundLabels]:
    """What each XML says. UserError when there is none."""
    names = find_xml(package)
    if not names:
        raise UserError("there is no XML in it: Pascal VOC has one per image")
    pictures = index_pictures(package)
    for name in names:
        stem = PurePosixPath(name).stem
        picture = find_picture(pictures, stem)
        modified_at = package.modified_at(name)
        try:
            root = fromstring(package.read(name, MAX_TEXT_BYTES), forbid_dtd=True)
        except (ValueError, ParseError, DefusedXmlException) as error:
            problem = f"{type(error).__name__}: {str(error)[:200]}"
            yield FoundLabels(name, stem, problems=(problem,), modified_at=modified_at)
            continue
        shapes, problems = _read_objects(root)
        yield FoundLabels(
            file=name,
            name=stem,
            shapes=tuple(shapes),
            scores=(None,) * len(shapes),
            size=_read_size(root),
            problems=tuple(problems),
            modified_at=modified_at,
            picture=picture,
        )


def find_xml(package: Package) -> list[str]:
    """Label Studio's labeling interface is an XML too."""
    return [
        name
        for name in package.names
        if name.lower().endswith(".xml") and PurePosixPath(name).name != "interface.xml"
    ]


def _read_objects(root: Element) -> tuple[list[Shape], list[str]]:
    shapes: list[Shape] = []
    problems: list[str] = []
    for number, found in enumerate(root.findall("object"), start=1):
        if number > MAX_SHAPES:
            problems.append(f"more than {MAX_SHAPES} objects; the rest is left out")
            break
        try:
            shapes.append(_read_object(found))
        except ValueError as error:
            problems.append(f"object {number}: {error}")
    if root.tag != "annotation":
        problems.append(f"it is no annotation but {root.tag[:40]!r}")
    return shapes, problems


def _read_object(found: Element) -> Shape:
    label = (found.findtext("name") or "").strip()
    if not label:
        raise ValueError("it has no name")
    x1, y1, x2, y2 = (_read_number(found, side) for side in _SIDES)
    if x2 < x1 or y2 < y1:
        raise ValueError(f"its size is {x2 - x1 + 1:g} by {y2 - y1 + 1:g}")
    return Shape(label=label, kind=ShapeKind.BOX, points=((x1 - 1, y1 - 1), (x2, y2)))


def _read_number(found: Element, side: str) -> float:
    text = found.findtext(f"bndbox/{side}") or ""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"its {side} is no finite number: {text[:20]!r}")
    return number


def _read_size(root: Element) -> tuple[float, float] | None:
    try:
        width, height = (float(root.findtext(f"size/{side}") or "") for side in ("width", "height"))
    except ValueError:
        return None
    return (width, height) if 0 < width < math.inf and 0 < height < math.inf else None
