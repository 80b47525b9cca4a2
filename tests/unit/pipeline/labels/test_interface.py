"""The labeling interface is ours until somebody edits it; what changed is said in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.annotations import CLASSES
from pipeline.labels.interface import (
    Interface,
    UnreadableInterface,
    compare_interface,
    read_data_keys,
    read_interface,
    write_interface,
)

OURS = write_interface(CLASSES)
# As Label Studio's own template for cameras has it, without ids.
BY_HAND = (
    '<View>\n  <Image name="image" value="$image"/>\n'
    '  <RectangleLabels name="label" toName="image">\n'
    '    <Label value="car"/><Label value="truck"/>\n  </RectangleLabels>\n</View>'
)
names = st.text(min_size=1, max_size=9).filter(str.isprintable)


def test_interface_is_the_one_agreed_on() -> None:
    assert write_interface(["car", "bus"]) == (
        '<View><Image name="image" value="$image" />'
        '<RectangleLabels name="label" toName="image" canRotate="true">'
        '<Label value="car" category="0" /><Label value="bus" category="1" />'
        "</RectangleLabels></View>"
    )


@given(st.lists(names, unique=True, max_size=12))
def test_classes_come_back_in_order_whatever_their_names(classes: list[str]) -> None:
    found = read_interface(write_interface(classes))
    assert found == Interface(
        classes=tuple(classes),
        control="label",
        object="image",
        value="$image",
        categories=tuple(range(len(classes))),
    )


def test_our_own_interface_has_no_problems() -> None:
    assert compare_interface(OURS, CLASSES) == []


def test_order_follows_the_categories_and_not_the_lines() -> None:
    shuffled = BY_HAND.replace('"car"', '"car" category="5"').replace(
        '"truck"', '"truck" category="0"'
    )
    found = read_interface(shuffled)
    assert (found.classes, found.categories) == (("truck", "car"), (0, 5))


@pytest.mark.parametrize("category", ["", "x", "-1", "٣", "9" * 5000, "1"])
def test_order_follows_the_lines_where_categories_cannot_be_told(category: str) -> None:
    odd = BY_HAND.replace('"car"', f'"car" category="{category}"').replace(
        '"truck"', '"truck" category="1"'
    )
    found = read_interface(odd)
    assert (found.classes, found.categories) == (("car", "truck"), ())


def test_a_label_with_an_alias_is_called_by_it() -> None:
    found = read_interface(BY_HAND.replace('"car"', '"Voiture" alias="car"'))
    assert found.classes == ("car", "truck")


def test_tags_and_attributes_are_read_in_any_case() -> None:
    found = read_interface(BY_HAND.replace("RectangleLabels", "rectanglelabels"))
    assert found.classes == ("car", "truck")


@pytest.mark.parametrize(
    ("edit", "problem"),
    [
        (
            lambda xml: xml.replace('<Label value="bus" category="4" />', ""),
            "the class 'bus' was removed",
        ),
        (lambda xml: xml.replace('"bus"', '"coach"'), "the class 'bus' was renamed 'coach'"),
        (
            lambda xml: xml.replace("</Rect", '<Label value="van" category="7" /></Rect'),
            "the class 'van' is not one of ours",
        ),
        (
            lambda xml: xml.replace('name="label"', 'name="boxes"'),
            "the control for boxes is called 'boxes' and not 'label'",
        ),
        (
            lambda xml: xml.replace('name="image"', 'name="photo"'),
            "the image is called 'photo' and not 'image'",
        ),
        (
            lambda xml: xml.replace("$image", "$url"),
            "the image's value is called '$url' and not '$image'",
        ),
        (
            lambda xml: xml.replace('"0"', '"x"'),
            "the classes' ids (category) are not ours: exports use ours all the same",
        ),
        (
            lambda xml: xml.replace("</View>", '<Choices name="sky" toName="image" /></View>'),
            "another control, Choices 'sky': what is drawn with it is kept if it is a shape",
        ),
        (
            lambda xml: xml.replace("</Rect", '<Label value="car" category="2" /></Rect'),
            "1 labels are there twice",
        ),
    ],
)
def test_an_edit_by_hand_is_said_in_words(edit: Callable[[str], str], problem: str) -> None:
    assert edit(OURS) != OURS
    assert compare_interface(edit(OURS), CLASSES) == [problem]


def test_classes_that_changed_places_are_noticed() -> None:
    swapped = write_interface([*reversed(CLASSES)])
    assert compare_interface(swapped, CLASSES) == [
        "the classes' ids (category) are not ours: exports use ours all the same"
    ]


def test_our_control_is_found_beside_others() -> None:
    other = '<RectangleLabels name="plates" toName="image"><Label value="plate"/></RectangleLabels>'
    found = read_interface(OURS.replace("<Rect", other + "<Rect", 1))
    assert found.classes == CLASSES
    assert found.notes == (
        "another control, RectangleLabels 'plates': what is drawn with it is kept if it is a shape",
    )


def test_of_many_other_controls_ten_are_named() -> None:
    crowd = '<TextArea name="t" toName="image" />' * 1000
    problems = compare_interface(OURS.replace("</View>", crowd + "</View>"), CLASSES)
    assert len(problems) == 11
    assert problems[-1] == "and 990 controls more"


@pytest.mark.parametrize(
    ("tags", "keys"),
    [
        ("", {"image"}),
        ('<Text name="n" value="$note"/>', {"image", "note"}),
        ('<Text name="n" value="by $author on $day"/>', {"image", "author"}),
        ('<Text name="n" value="$"/><Text name="m"/><Header value="$title"/>', {"image"}),
        ('<Image name="n" value="$images[0].url"/>', {"image", "images[0].url"}),
        ('<!-- <Text name="n" value="$note"/> -->', {"image"}),
    ],
)
def test_data_that_a_task_must_have_is_read_as_label_studio_reads_it(
    tags: str, keys: set[str]
) -> None:
    assert read_data_keys(OURS.replace("</View>", f"{tags}</View>")) == keys


BOMB = (
    '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
    "<View><Image name='image' value='&b;'/></View>"
)


@pytest.mark.parametrize(
    "xml",
    [
        pytest.param("", id="empty"),
        pytest.param("not xml", id="text"),
        pytest.param("<View><Image name='image'/>", id="cut off"),
        pytest.param("<View/>", id="nothing in it"),
        pytest.param("<View><Image name='image' value='$image'/></View>", id="no control"),
        pytest.param("<View><RectangleLabels name='label' toName='image'/></View>", id="no image"),
        pytest.param(BOMB, id="entities"),
        pytest.param('<!DOCTYPE View SYSTEM "file:///etc/passwd">' + OURS, id="document type"),
        pytest.param("<View>\x00</View>", id="nul"),
        pytest.param("<View>\ud800</View>", id="half a character"),
        pytest.param(f"<View>{' ' * 1_000_000}</View>", id="too long"),
        pytest.param("<a>" * 100_000, id="deep and cut off"),
        pytest.param("<a>" * 100_000 + "</a>" * 100_000, id="deep"),
    ],
)
def test_what_cannot_be_read_is_refused_and_said(xml: str) -> None:
    with pytest.raises(UnreadableInterface):
        read_interface(xml)
    problems = compare_interface(xml, CLASSES)
    assert len(problems) == 1
    assert problems[0].startswith("the labeling interface cannot be used: it ")
