"""The labeling interface: which classes a person may draw. People edit it by hand over there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

CONTROL = "label"
OBJECT = "image"
IMAGE = "$image"  # the task's data that the picture is taken from
IMAGE_ID = "image_id"  # in the task's data: which image of ours it shows
MAX_CHARACTERS = 1_000_000
MAX_SHOWN = 10

_IN_TEXT = re.compile(r"\$(\w+)")


class UnreadableInterface(ValueError):
    """XML that is malformed, hostile, too long, or in which no boxes can be drawn."""


@dataclass(frozen=True)
class Interface:
    """`classes` in the order of their class ids: `category` where each label has one, else as
    written. `control` and `object` are the names of the boxes' control and of the image."""

    classes: tuple[str, ...]
    control: str
    object: str
    value: str
    categories: tuple[int, ...] = ()  # beside `classes`; empty where they cannot be told
    notes: tuple[str, ...] = ()


def write_interface(classes: Sequence[str]) -> str:
    """Boxes that may be turned, of these classes; their ids are pinned by `category`."""
    view = Element("View")
    SubElement(view, "Image", name=OBJECT, value=IMAGE)
    control = SubElement(view, "RectangleLabels", name=CONTROL, toName=OBJECT, canRotate="true")
    for number, name in enumerate(classes):
        SubElement(control, "Label", value=name, category=str(number))
    return tostring(view, encoding="unicode")


def read_interface(xml: str) -> Interface:
    """What can be drawn there. Raises UnreadableInterface."""
    elements = _parse(xml)
    image = next((element for element in elements if _tag(element) == "image"), None)
    control = _find_control(elements)
    if image is None or control is None:
        raise UnreadableInterface("it has no image, or no control for boxes (RectangleLabels)")
    labels = [_attributes(element) for element in control.iter() if _tag(element) == "label"]
    names = tuple(dict.fromkeys(_name(label) for label in labels))
    numbers = _read_categories(labels)
    ordered = tuple(sorted(names, key=lambda name: numbers[name])) if numbers else names
    return Interface(
        classes=ordered,
        control=_attributes(control).get("name", ""),
        object=_attributes(image).get("name", ""),
        value=_attributes(image).get("value", ""),
        categories=tuple(numbers[name] for name in ordered) if numbers else (),
        notes=_note(elements, control, len(labels) - len(names)),
    )


def read_data_keys(xml: str) -> frozenset[str]:
    """What a task's data must have for a Label Studio to take it, found as it finds them. Raises
    UnreadableInterface."""
    named = [element for element in _parse(xml) if element.get("name")]
    return frozenset(filter(None, (_read_key(element.get("value", "")) for element in named)))


def compare_interface(xml: str, classes: Sequence[str]) -> list[str]:
    """What is wrong with it, in words, for a person to mend; empty when it is as ours or does as
    much. `classes` are those that it should have, in the order of their ids."""
    try:
        found = read_interface(xml)
    except UnreadableInterface as error:
        return [f"the labeling interface cannot be used: {error}"]
    return [*_compare_names(found), *_compare_classes(found, classes), *found.notes]


def _parse(xml: str) -> list[Element]:
    if len(xml) > MAX_CHARACTERS:
        raise UnreadableInterface(f"it has more than {MAX_CHARACTERS:,} characters")
    try:
        root: Element = fromstring(xml, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise UnreadableInterface(f"it is no XML that is read here ({error})") from error
    return list(root.iter())


def _read_key(value: str) -> str:
    """All that follows where it begins with `$`, else the first word with one."""
    if value.startswith("$"):
        return value[1:]
    found = _IN_TEXT.search(value)
    return found[1] if found else ""


def _tag(element: Element) -> str:
    return element.tag.lower()


def _attributes(element: Element) -> dict[str, str]:
    """Label Studio reads their names in any case."""
    return {name.lower(): value for name, value in element.attrib.items()}


def _name(label: Mapping[str, str]) -> str:
    """What a region says: the alias where a label has one."""
    return label.get("alias") or label.get("value", "")


def _find_control(elements: Sequence[Element]) -> Element | None:
    """The control for boxes by our name, else the first."""
    controls = [element for element in elements if _tag(element) == "rectanglelabels"]
    ours = (control for control in controls if _attributes(control).get("name") == CONTROL)
    return next(ours, controls[0] if controls else None)


def _read_categories(labels: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """Each label's class id; empty unless every one has a number of its own."""
    numbers: dict[str, int] = {}
    for label in labels:
        category = label.get("category", "")
        if not (category.isascii() and category.isdigit() and len(category) < 10):
            return {}
        numbers.setdefault(_name(label), int(category))
    return numbers if len(set(numbers.values())) == len(numbers) else {}


def _note(elements: Sequence[Element], control: Element, doubled: int) -> tuple[str, ...]:
    others = [
        f"another control, {element.tag} '{_attributes(element).get('name', '')}': what is drawn "
        "with it is kept if it is a shape"
        for element in elements
        if element is not control and "toname" in _attributes(element)
    ]
    if len(others) > MAX_SHOWN:
        others = [*others[:MAX_SHOWN], f"and {len(others) - MAX_SHOWN} controls more"]
    return (*others, *([f"{doubled} labels are there twice"] if doubled else []))


def _compare_names(found: Interface) -> list[str]:
    pairs = (
        ("control for boxes", found.control, CONTROL),
        ("image", found.object, OBJECT),
        ("image's value", found.value, IMAGE),
    )
    return [
        f"the {what} is called '{name}' and not '{expected}'"
        for what, name, expected in pairs
        if name != expected
    ]


def _compare_classes(found: Interface, classes: Sequence[str]) -> list[str]:
    missing = [name for name in classes if name not in found.classes]
    added = [name for name in found.classes if name not in classes]
    renamed = _pair_renamed(found, classes)
    problems = [f"the class '{old}' was renamed '{new}'" for old, new in renamed.items()]
    problems += [f"the class '{name}' was removed" for name in missing if name not in renamed]
    new_names = set(renamed.values())
    problems += [
        f"the class '{name}' is not one of ours" for name in added if name not in new_names
    ]
    known = [name for name in found.classes if name in classes]
    if known != [name for name in classes if name in known] or not found.categories:
        problems.append("the classes' ids (category) are not ours: exports use ours all the same")
    return problems


def _pair_renamed(found: Interface, classes: Sequence[str]) -> dict[str, str]:
    """A class that is missing and the unknown one that has its id now."""
    by_number = dict(zip(found.categories, found.classes, strict=False))
    return {
        name: by_number[number]
        for number, name in enumerate(classes)
        if name not in found.classes and by_number.get(number, name) not in classes
    }
