from __future__ import annotations

import pytest

from pipeline.errors import UserError
from services.labeling.sets.formats.vocabulary import FoundLabels, LabelFormat
from tests.label_sets import read_set

BOX = "<xmin>11</xmin><ymin>21</ymin><xmax>40</xmax><ymax>60</ymax>"


def read(objects: str, head: str = "") -> FoundLabels:
    text = f"{head}<annotation><size><width>320</width><height>240</height></size>{objects}"
    [found] = read_set(LabelFormat.VOC, {"Annotations/a.xml": f"{text}</annotation>"})
    return found


def say(name: str, numbers: str) -> str:
    return f"<object><name>{name}</name><bndbox>{numbers}</bndbox></object>"


def test_pixels_count_from_one() -> None:
    found = read(say("car", BOX))
    assert found.shapes[0].points == ((10, 20), (40, 60))
    assert (found.name, found.size) == ("a", (320, 240))


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        (say("", BOX), "no name"),
        (say("car", ""), "its xmin"),
        (say("car", BOX.replace("11", "nan")), "its xmin"),
        (say("car", BOX.replace("60", "inf")), "its ymax"),
        (say("car", BOX.replace("40", "4")), "its size"),
    ],
)
def test_bad_object_has_a_reason(objects: str, reason: str) -> None:
    found = read(objects + say("bus", BOX))
    assert [shape.label for shape in found.shapes] == ["bus"]
    assert found.problems[0].startswith("object 1: ")
    assert reason in found.problems[0]


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;&b;">]>',
        '<!DOCTYPE a SYSTEM "file:///etc/passwd">',
        "<unclosed>",
    ],
)
def test_hostile_xml_is_refused(head: str) -> None:
    found = read(say("car", BOX), head)
    assert (found.shapes, len(found.problems)) == ((), 1)


def test_other_xml_is_no_annotation() -> None:
    [found] = read_set(LabelFormat.VOC, {"a.xml": "<html/>"})
    assert "no annotation" in found.problems[0]


def test_package_without_xml_is_refused() -> None:
    with pytest.raises(UserError, match="no XML"):
        read_set(LabelFormat.VOC, {"interface.xml": "<View/>"})
